import { Alert } from "@mantine/core";
import type { ReactNode } from "react";
import { sentence } from "@/api/errors";

/** Why what was tried last failed, announced at once; nothing while `error` is null. */
export function Problem({ error, children }: { error: unknown; children?: ReactNode }) {
  if (error === null) return null;
  return (
    <Alert color="red" role="alert">
      {sentence(error)}
      {children}
    </Alert>
  );
}
