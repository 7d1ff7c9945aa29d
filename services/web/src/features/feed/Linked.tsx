/** What a link leads to, where the list does not show it: far back, or not there any more. */
import { useQuery } from "@tanstack/react-query";
import type { Api } from "@/api/client";
import { sentence } from "@/api/errors";
import { historyPage } from "@/api/pages";
import { Loading } from "@/components/Loading";
import { problemOf } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { useNow } from "@/context/useNow";
import { isAcked } from "@/model/acks";
import type { Whereabouts } from "@/model/linked";
import classes from "./Linked.module.css";
import { NotificationRow } from "./NotificationRow";
import { useAcknowledge } from "./useAcknowledge";

interface Props {
  topic: string;
  seq: number;
  where: Whereabouts;
  marks: boolean;
}

export function Linked({ topic, seq, where, marks }: Props) {
  if (where === "listed" || where === "seeking") return null;
  if (where === "far") return <Apart topic={topic} seq={seq} marks={marks} />;
  return (
    <p className={classes.notice} role="status">
      {where === "gone"
        ? `The notification that the link leads to (no. ${seq}) was removed by retention or expiry.`
        : `There is no notification no. ${seq} here yet.`}
    </p>
  );
}

/** Where the address names what no notification can have as its number. */
export function NoSuchAddress() {
  return (
    <p className={classes.notice} role="status">
      There is no notification at this address.
    </p>
  );
}

function Apart({ topic, seq, marks }: Omit<Props, "where">) {
  const { api } = useServices();
  const { live } = useOwn();
  const { acknowledge, markUnread } = useAcknowledge();
  const book = useObservable(live.book);
  const now = useNow();
  const found = useQuery({ queryKey: ["notification", topic, seq], queryFn: () => read(api, topic, seq) });
  if (found.data === undefined && found.error === null)
    return <Loading label="Loading the notification" problem={problemOf(found)} />;
  if (found.data == null) {
    return (
      <p className={classes.notice} role="status">
        {found.error !== null ? sentence(found.error) : `No. ${seq} was removed by retention or expiry.`}
      </p>
    );
  }
  return (
    <section className={classes.apart} aria-label="The notification that the link leads to">
      <NotificationRow
        item={found.data}
        unread={marks && !isAcked(book, topic, seq)}
        expanded
        now={now}
        topicName={undefined}
        onToggle={() => undefined}
        onAcknowledge={() => acknowledge(topic, [seq], "Acknowledged.")}
        onMarkUnread={marks ? () => markUnread(topic, [seq]) : undefined}
      />
      <p className={classes.notice}>It is further back; the newest ones follow.</p>
    </section>
  );
}

/** The notification, or null if it is not there any more. */
async function read(api: Api, topic: string, seq: number) {
  const page = await historyPage(api, topic, { after: seq - 1, limit: 1 });
  return page.items.find((item) => item.seq === seq) ?? null;
}
