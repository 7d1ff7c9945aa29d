import { mergeConfig } from "vite";
import { defineConfig } from "vitest/config";
import client from "./vite.config";

export default mergeConfig(client, defineConfig({ test: { include: ["tests/**/*.test.ts"] } }));
