import { Button, EmptyState, Loader } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { unknownWords, useSlow } from "./useSlow";
import classes from "./Waiting.module.css";

/** The page before there is anything to show: loading, or the problem that keeps it from loading. */
export function Waiting({ problem }: { problem: string }) {
  const slow = useSlow();
  const words = unknownWords(problem, slow);
  return (
    <main className={classes.waiting} aria-busy={words === ""}>
      {words === "" ? (
        <Loader role="img" aria-label="Loading" />
      ) : (
        <EmptyState
          role="status"
          icon={<IconPlugConnectedX />}
          title={words}
          description="It is tried again by itself."
        >
          <Button variant="default" onClick={() => location.reload()}>
            Try now
          </Button>
        </EmptyState>
      )}
    </main>
  );
}
