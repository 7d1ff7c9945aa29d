import { Button, Loader } from "@mantine/core";
import { useObservable, useOwn } from "@/context/services";
import { canBeDiscarded, type Message, messagesTo, standing } from "@/model/outbox";
import { headline } from "@/model/text";
import classes from "./Composer.module.css";

/** What the user has written to `topic` (or, without one, to people) that is not confirmed yet, newest first. */
export function Pending({ topic }: { topic?: string }) {
  const { live } = useOwn();
  const { entries, problem } = useObservable(live.outbox.state);
  const messages = messagesTo(entries, topic).reverse();
  if (messages.length === 0) return null;
  return (
    <section aria-label="Not sent yet" aria-live="polite">
      {messages.map((message) => (
        <Waiting key={message.key} message={message} problem={problem} />
      ))}
    </section>
  );
}

function Waiting({ message, problem }: { message: Message; problem: string }) {
  const { live } = useOwn();
  const body = { title: message.body.title ?? "", body: message.body.body ?? "", data: message.body.data ?? null };
  return (
    <div className={classes.pending} data-problem={message.problem !== undefined || undefined}>
      {message.problem === undefined && <Loader size={14} aria-hidden />}
      <div className={classes.pendingText}>
        <div className={classes.pendingHead} dir="auto">
          {headline(body)}
        </div>
        <div className={classes.pendingState}>
          {message.kind === "send" && `To ${message.target}: `}
          {standing(message, problem)}
        </div>
      </div>
      {message.problem !== undefined && (
        <Button size="compact-xs" variant="default" onClick={() => live.outbox.retry(message.key)}>
          Send again
        </Button>
      )}
      {canBeDiscarded(message, problem) && (
        <Button size="compact-xs" variant="subtle" color="red" onClick={() => live.outbox.discard(message.key)}>
          Discard
        </Button>
      )}
    </div>
  );
}
