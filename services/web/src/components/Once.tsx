import { Alert, Button, CopyButton } from "@mantine/core";
import classes from "./Once.module.css";

/** Lines with a secret, to be copied now: they are shown once. */
export function Once({ title, lines, what = "" }: { title: string; lines: string; what?: string }) {
  return (
    <Alert color="pine" role="status" title={title}>
      <pre className={classes.lines}>{lines}</pre>
      {/* Browsers give pages without TLS no clipboard. */}
      {window.isSecureContext && (
        <CopyButton value={lines}>
          {({ copied, copy }) => (
            <Button size="compact-xs" variant="default" mt="xs" onClick={copy}>
              {copied ? "Copied" : `Copy${what}`}
            </Button>
          )}
        </CopyButton>
      )}
    </Alert>
  );
}
