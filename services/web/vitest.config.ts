import { mergeConfig } from "vite";
import { defineConfig } from "vitest/config";
import client from "./vite.config";

const PATIENCE = 60_000;

export default mergeConfig(
  client,
  defineConfig({
    test: {
      include: ["tests/**/*.test.ts"],
      testTimeout: PATIENCE,
      hookTimeout: PATIENCE,
      // Each file has globals and modules of its own, but no process: those were more than half of what the tests take.
      pool: "vmThreads",
      maxWorkers: 1,
    },
  }),
);
