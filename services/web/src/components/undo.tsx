import { Button } from "@mantine/core";
import { notifications, notificationsStore } from "@mantine/notifications";
import classes from "./undo.module.css";

const PREFIX = "undo.";
const OFFERED_MS = 10_000;

/**
 * Says what was done, and offers to take it back; only the last of such notices stands. `name` is that of what was done,
 * for {@link withdrawUndo}.
 */
export function offerUndo(message: string, undo: () => void, name = ""): void {
  const { notifications: shown, queue } = notificationsStore.getState();
  for (const { id = "" } of [...shown, ...queue]) if (id.startsWith(PREFIX)) notifications.hide(id);
  const id = PREFIX + name;
  notifications.show({
    id,
    color: "pine",
    autoClose: OFFERED_MS,
    message: (
      <span className={classes.line}>
        {message}
        <Button
          size="compact-sm"
          variant="default"
          onClick={() => {
            notifications.hide(id);
            undo();
          }}
        >
          Undo
        </Button>
      </span>
    ),
  });
}

/** Takes back the offer to undo what has `name`: it is undone. */
export function withdrawUndo(name: string): void {
  notifications.hide(PREFIX + name);
}
