import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import classes from "./undo.module.css";

const ID = "undo";
const OFFERED_MS = 10_000;

/** Says what was done, and offers to take it back; only the last of such notices stands. */
export function offerUndo(message: string, undo: () => void): void {
  notifications.hide(ID);
  notifications.show({
    id: ID,
    color: "pine",
    autoClose: OFFERED_MS,
    message: (
      <span className={classes.line}>
        {message}
        <Button
          size="compact-sm"
          variant="default"
          onClick={() => {
            notifications.hide(ID);
            undo();
          }}
        >
          Undo
        </Button>
      </span>
    ),
  });
}
