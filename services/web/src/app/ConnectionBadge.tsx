import { useObservable, useOwn } from "@/context/services";
import { plural } from "@/model/text";
import classes from "./ConnectionBadge.module.css";

const WORDS = {
  live: ["Live", "Connected: what happens shows here at once."],
  connecting: ["Connecting", "The connection is being made."],
  offline: ["Offline", "Not connected: trying again. What you do is kept and sent when the connection is back."],
} as const;

/** Whether this window is connected, and what waits to be sent. Always in sight. */
export function ConnectionBadge() {
  const { live } = useOwn();
  const state = useObservable(live.connection.state);
  const { entries, problem } = useObservable(live.outbox.state);
  const [word, explanation] = WORDS[state];
  const waiting = entries.filter((entry) => entry.problem === undefined && entry.triedAt !== undefined).length;
  const held = problem !== "" || state !== "live" ? waiting : 0;
  return (
    <div
      className={classes.badge}
      data-state={state}
      role="status"
      title={problem === "" ? explanation : `${explanation} ${problem}`}
    >
      <span className={classes.dot} />
      {word}
      {held > 0 && <span className={classes.waiting}>{plural(held, "change")} waiting</span>}
    </div>
  );
}
