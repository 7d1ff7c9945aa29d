import { Alert } from "@mantine/core";
import { sentence } from "@/api/errors";

/** Why what was tried last failed, announced at once; nothing while `error` is null. */
export function Problem({ error }: { error: unknown }) {
  if (error === null) return null;
  return (
    <Alert color="red" role="alert">
      {sentence(error)}
    </Alert>
  );
}
