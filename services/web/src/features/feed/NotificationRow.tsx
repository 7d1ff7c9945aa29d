import { ActionIcon, Skeleton } from "@mantine/core";
import { IconCheck, IconChevronRight } from "@tabler/icons-react";
import { memo, Suspense } from "react";
import type { Notification, Priority } from "@/api/types";
import { Fallible } from "@/components/Fallible";
import { offlinePart } from "@/components/parts";
import { fullTime, headline, publisherName, summary, when } from "@/model/text";
import classes from "./NotificationRow.module.css";

const Details = offlinePart(() => import("./Details"));

const PRIORITIES: Readonly<Record<Priority, string | undefined>> = {
  low: "Low",
  normal: undefined,
  high: "High",
  urgent: "Urgent",
};

interface Props {
  item: Notification;
  unread: boolean;
  expanded: boolean;
  now: number;
  /** The topic's name for people, where the list mixes topics. */
  topicName: string | undefined;
  onToggle: (item: Notification) => void;
  onAcknowledge: (item: Notification) => void;
  /** Absent where nothing is marked as unread. */
  onMarkUnread?: ((item: Notification) => void) | undefined;
}

/** One notification: a line to skim, opened to read. */
export const NotificationRow = memo(function NotificationRow(props: Props) {
  const { item, unread, expanded, now, topicName, onToggle, onAcknowledge, onMarkUnread } = props;
  const head = headline(item);
  const rest = summary(item);
  // Without a title it is the beginning of the body, which is read below.
  const repeated = expanded && item.title === "" && item.body !== "";
  const priority = PRIORITIES[item.priority];
  return (
    <div className={classes.row} data-unread={unread || undefined} data-priority={item.priority}>
      <div className={classes.line}>
        <button type="button" className={classes.toggle} aria-expanded={expanded} onClick={() => onToggle(item)}>
          <IconChevronRight size={14} className={classes.chevron} aria-hidden />
          <span className={classes.text}>
            <span className={classes.top}>
              {priority !== undefined && <span className={classes.priority}>{priority}</span>}
              <span className={repeated ? classes.hidden : classes.head} dir="auto">
                {head}
              </span>
              {unread && <span className={classes.hidden}>, unread</span>}
            </span>
            {rest !== "" && !expanded && (
              <span className={classes.rest} dir="auto">
                {rest}
              </span>
            )}
            <span className={classes.meta}>
              {topicName !== undefined && <span className={classes.topic}>{topicName}</span>}
              <bdi>{publisherName(item)}</bdi>
            </span>
          </span>
        </button>
        <time dateTime={item.published_at} title={fullTime(item.published_at)} className={classes.time}>
          {when(item.published_at, now)}
        </time>
        {unread ? (
          <ActionIcon
            variant="subtle"
            title="Acknowledge (a)"
            aria-label={`Acknowledge: ${head}`}
            onClick={() => onAcknowledge(item)}
          >
            <IconCheck size={17} />
          </ActionIcon>
        ) : (
          <span className={classes.noAction} />
        )}
      </div>
      {expanded && (
        <Fallible>
          <Suspense fallback={<Skeleton height={48} />}>
            <Details item={item} mixed={topicName !== undefined} onMarkUnread={unread ? undefined : onMarkUnread} />
          </Suspense>
        </Fallible>
      )}
    </div>
  );
});
