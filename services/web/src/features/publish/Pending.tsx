import { Button, Loader } from "@mantine/core";
import { useObservable, useOwn } from "@/context/services";
import { canBeDiscarded, contentOf, type Message, messagesTo, statusText } from "@/model/outbox";
import { headline } from "@/model/text";
import classes from "./Composer.module.css";
import { useTakeBack } from "./useTakeBack";

/**
 * What the user has written to `topic` (or, without one, to people) that is not confirmed yet, newest first. `onEdit` shows
 * the composer with the draft that was made of one.
 */
export function Pending({ topic, onEdit }: { topic?: string; onEdit: () => void }) {
  const { live } = useOwn();
  const { entries, problem } = useObservable(live.outbox.state);
  const messages = messagesTo(entries, topic).reverse();
  if (messages.length === 0) return null;
  return (
    <section aria-label="Not sent yet" aria-live="polite">
      {messages.map((message) => (
        <Waiting key={message.key} message={message} problem={problem} onEdit={onEdit} />
      ))}
    </section>
  );
}

function Waiting({ message, problem, onEdit }: { message: Message; problem: string; onEdit: () => void }) {
  const { live } = useOwn();
  const takeBack = useTakeBack();
  return (
    <div className={classes.pending} data-problem={message.problem !== undefined || undefined}>
      {message.problem === undefined && <Loader size={14} aria-hidden />}
      <div className={classes.pendingText}>
        <div className={classes.pendingHead} dir="auto">
          {headline(contentOf(message))}
        </div>
        <div className={classes.pendingState}>
          {message.kind === "send" && `To ${message.target}: `}
          {statusText(message, problem)}
        </div>
      </div>
      {message.problem !== undefined && (
        <>
          <Button
            size="compact-xs"
            variant="default"
            onClick={() => {
              takeBack(message);
              onEdit();
            }}
          >
            Edit
          </Button>
          <Button size="compact-xs" variant="default" onClick={() => live.outbox.retry(message.key)}>
            Send again
          </Button>
        </>
      )}
      {canBeDiscarded(message, problem) && (
        <Button size="compact-xs" variant="subtle" color="red" onClick={() => live.outbox.discard(message.key)}>
          Discard
        </Button>
      )}
    </div>
  );
}
