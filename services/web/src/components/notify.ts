/** A short word at the edge of the page. */
import { notifications } from "@mantine/notifications";
import { sentence } from "@/api/errors";

const COLORS = { info: "pine", warning: "yellow", error: "red" } as const;

export function notify(message: string, kind: keyof typeof COLORS = "info"): void {
  notifications.show({ message, color: COLORS[kind], autoClose: kind === "error" ? 10_000 : 5_000 });
}

export function notifyError(error: unknown): void {
  notify(sentence(error), "error");
}

/** Does `work`, and says what it throws. */
export function orNotify(work: () => void): void {
  try {
    work();
  } catch (error) {
    notifyError(error);
  }
}
