import { Skeleton } from "@mantine/core";
import { Suspense } from "react";
import { Link } from "wouter";
import type { Notification } from "@/api/types";
import { DataTable } from "@/components/DataTable";
import { Fallible } from "@/components/Fallible";
import { offlinePart } from "@/components/parts";
import { useOwn } from "@/context/services";
import { rowsOf } from "@/model/dataRows";
import { notificationPath, recipientOf, threadPath } from "@/model/paths";
import { fullTime } from "@/model/text";
import classes from "./NotificationRow.module.css";

const Markdown = offlinePart(() => import("@/components/Markdown"));

interface Props {
  item: Notification;
  /** Whether the list mixes topics. */
  mixed: boolean;
  onMarkUnread: ((item: Notification) => void) | undefined;
}

/** What a notification shows once it is opened. */
export default function Details({ item, mixed, onMarkUnread }: Props) {
  const { live } = useOwn();
  const recipient = recipientOf(item.topic, live.ownInbox);
  const hasData = item.data !== null && Object.keys(item.data).length > 0;
  return (
    <div className={classes.details}>
      {item.body !== "" && (
        <Fallible>
          <Suspense fallback={<Skeleton height={48} />}>
            <Markdown text={item.body} />
          </Suspense>
        </Fallible>
      )}
      {hasData && item.data !== null && (
        <section aria-label="Data" className={classes.data}>
          <DataTable rows={rowsOf(item.data)} />
        </section>
      )}
      <div className={classes.facts}>
        <span>{fullTime(item.published_at)}</span>
        {recipient === undefined ? (
          <Link href={notificationPath(item.topic, item.seq)} title="The address of this notification">
            No. {item.seq}
          </Link>
        ) : (
          <Link href={threadPath(recipient)}>Open the thread</Link>
        )}
        {item.topic === live.ownInbox && item.publisher.id && <Link href={threadPath(item.publisher.id)}>Reply</Link>}
        {onMarkUnread !== undefined && (
          <button
            type="button"
            className={classes.action}
            title="Mark as unread (u)"
            onClick={() => onMarkUnread(item)}
          >
            Mark as unread
          </button>
        )}
        {item.expires_at && <span>Expires {fullTime(item.expires_at)}</span>}
        {mixed && !item.topic.startsWith("user:") && <Link href={`/topics/${item.topic}`}>Open {item.topic}</Link>}
      </div>
    </div>
  );
}
