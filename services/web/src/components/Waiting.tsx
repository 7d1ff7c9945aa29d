import { Button, EmptyState, Loader } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import classes from "./Waiting.module.css";

/** The page before there is anything to show: loading, or the problem that keeps it from loading. */
export function Waiting({ problem }: { problem: string }) {
  return (
    <main className={classes.waiting} aria-busy={problem === ""}>
      {problem === "" ? (
        <Loader aria-label="Loading" />
      ) : (
        <EmptyState icon={<IconPlugConnectedX />} title={problem} description="It is tried again by itself.">
          <Button variant="default" onClick={() => location.reload()}>
            Try now
          </Button>
        </EmptyState>
      )}
    </main>
  );
}
