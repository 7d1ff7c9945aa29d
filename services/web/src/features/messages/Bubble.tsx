import { Button, Loader, Text } from "@mantine/core";
import { Suspense } from "react";
import { Link } from "wouter";
import type { ThreadNotification } from "@/api/types";
import { DataTable } from "@/components/DataTable";
import { Fallible } from "@/components/Fallible";
import { offlinePart } from "@/components/parts";
import { rowsOf } from "@/model/dataRows";
import { canBeDiscarded, contentOf, type Message, statusText } from "@/model/outbox";
import { notificationPath } from "@/model/paths";
import { fullTime, headline, publisherName, when } from "@/model/text";
import classes from "./ThreadPage.module.css";

const Markdown = offlinePart(() => import("@/components/Markdown"));

interface Props {
  item: ThreadNotification;
  now: number;
  unread: boolean;
  onAcknowledge: () => void;
  /** Absent in what was sent to another. */
  onMarkUnread: (() => void) | undefined;
}

/** One message; the user's own stand to the right. */
export function Bubble({ item, now, unread, onAcknowledge, onMarkUnread }: Props) {
  const time = (
    <time dateTime={item.published_at} title={fullTime(item.published_at)}>
      {when(item.published_at, now)}
    </time>
  );
  return (
    <article
      className={classes.bubble}
      data-own={item.sent || undefined}
      data-unread={unread || undefined}
      aria-label={headline(item)}
    >
      <Content title={item.title} body={item.body} data={item.data} />
      <div className={classes.facts}>
        {item.sent ? <span>You</span> : <bdi>{publisherName(item)}</bdi>}
        {onMarkUnread === undefined ? time : <Link href={notificationPath(item.topic, item.seq)}>{time}</Link>}
        {item.priority !== "normal" && <span>{item.priority} priority</span>}
        {onMarkUnread !== undefined && (
          <button type="button" className={classes.action} onClick={unread ? onAcknowledge : onMarkUnread}>
            {unread ? "Acknowledge" : "Mark as unread"}
          </button>
        )}
      </div>
    </article>
  );
}

interface UnsentProps {
  message: Message;
  /** Why the last try failed. */
  problem: string;
  onEdit: () => void;
  onRetry: () => void;
  onDiscard: () => void;
}

/** One that is not confirmed yet. */
export function Unsent({ message, problem, onEdit, onRetry, onDiscard }: UnsentProps) {
  const { title, body, data } = contentOf(message);
  const failed = message.problem !== undefined;
  return (
    <article className={classes.bubble} data-own data-waiting aria-label={headline({ title, body, data })}>
      <Content title={title} body={body} data={data} />
      <div className={classes.facts}>
        {!failed && <Loader size={10} aria-hidden />}
        <span className={failed ? classes.failed : undefined}>{statusText(message, problem)}</span>
        {failed && (
          <>
            <Button size="compact-xs" variant="default" onClick={onEdit}>
              Edit
            </Button>
            <Button size="compact-xs" variant="default" onClick={onRetry}>
              Send again
            </Button>
          </>
        )}
        {canBeDiscarded(message, problem) && (
          <Button size="compact-xs" variant="subtle" color="red" onClick={onDiscard}>
            Discard
          </Button>
        )}
      </div>
    </article>
  );
}

function Content({ title, body, data }: Pick<ThreadNotification, "title" | "body" | "data">) {
  const hasData = data != null && Object.keys(data).length > 0;
  return (
    <>
      {title !== "" && (
        <div className={classes.title} dir="auto">
          {title}
        </div>
      )}
      {body !== "" && (
        <Fallible>
          <Suspense fallback={<Text dir="auto">{body}</Text>}>
            <Markdown text={body} />
          </Suspense>
        </Fallible>
      )}
      {hasData && data != null && <DataTable rows={rowsOf(data)} />}
    </>
  );
}
