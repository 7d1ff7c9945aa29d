import { NO_ANSWER } from "@/api/errors";
import { useObservable, useOwn, useServices } from "@/context/services";
import { linkOf } from "@/model/link";
import { plural } from "@/model/text";
import classes from "./ConnectionBadge.module.css";

const WORDS = {
  live: ["Live", "Connected: what happens shows here at once."],
  connecting: ["Connecting", "The connection is being made. What is new does not show here yet."],
  troubled: ["Partly working", "Connected, but a part of the server is away: not all that is new may show here."],
  silent: [
    "No answer",
    "The server does not answer. Nothing new shows here, and what you do is kept until it answers.",
  ],
  offline: ["Offline", "Not connected: trying again. What you do is kept and sent when the connection is back."],
} as const;

/** Whether this window is connected, and what waits to be sent. Always in sight. */
export function ConnectionBadge() {
  const { live } = useOwn();
  const { trouble } = useServices();
  const problem = useObservable(trouble);
  const { entries, problem: sending } = useObservable(live.outbox.state);
  const fed = useObservable(live.connection.fed);
  const state = linkOf({
    connection: useObservable(live.connection.state),
    answering: useObservable(live.connection.answering),
    joined: useObservable(live.own).joined,
    troubled: problem !== "" || !fed || sending === NO_ANSWER,
  });
  const [word, explanation] = WORDS[state];
  const why = sending || problem;
  const waiting = entries.filter((entry) => entry.problem === undefined && entry.triedAt !== undefined).length;
  const held = sending !== "" || state !== "live" ? waiting : 0;
  return (
    <div
      className={classes.badge}
      data-state={state}
      role="status"
      title={why === "" ? explanation : `${explanation} ${why}`}
    >
      <span className={classes.dot} />
      {word}
      {held > 0 && <span className={classes.waiting}>{plural(held, "change")} waiting</span>}
    </div>
  );
}
