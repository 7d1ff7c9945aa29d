import { Alert, Button, CopyButton } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./Once.module.css";

/** A value and the name of the field that it goes into; without a label, lines to copy as a whole. */
export interface Labelled {
  readonly label: string;
  readonly value: string;
}

/** Lines with a secret, to be copied now: they are shown once. */
export function Once({ title, lines, what = "" }: { title: string; lines: string; what?: string }) {
  return (
    <OnceBox title={title}>
      <Copied value={lines} what={what} />
    </OnceBox>
  );
}

/** Values with secrets among them, each copied by itself. */
export function OnceEach({ title, values }: { title: string; values: readonly Labelled[] }) {
  return (
    <OnceBox title={title}>
      {values.map(({ label, value }) => (
        <div key={label} className={classes.value}>
          {label !== "" && <strong>{label}</strong>}
          <Copied value={value} what={label === "" ? "" : ` "${label}"`} />
        </div>
      ))}
    </OnceBox>
  );
}

function OnceBox({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Alert color="pine" role="status" title={title}>
      {children}
    </Alert>
  );
}

/** Lines and a button that copies them; `what` they are, for the button. */
export function Copied({ value, what }: { value: string; what: string }) {
  return (
    <>
      <pre className={classes.lines}>{value}</pre>
      {/* Browsers give pages without TLS no clipboard. */}
      {window.isSecureContext && (
        <CopyButton value={value}>
          {({ copied, copy }) => (
            <Button size="compact-xs" variant="default" mt="xs" onClick={copy}>
              {copied ? "Copied" : `Copy${what}`}
            </Button>
          )}
        </CopyButton>
      )}
    </>
  );
}
