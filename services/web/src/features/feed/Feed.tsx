import { Alert } from "@mantine/core";
import { type ReactNode, useCallback, useMemo } from "react";
import { useObservable } from "@/context/services";
import { place } from "@/model/inbox";
import { whereabouts } from "@/model/linked";
import type { TopicFeed } from "@/model/topicFeed";
import { FeedList } from "./FeedList";
import { Linked, NoSuchAddress } from "./Linked";

interface Props {
  feed: TopicFeed;
  label: string;
  marks: boolean;
  empty: ReactNode;
  /** The number of the notification that the address names; null if what it names can be none. */
  seq?: number | null | undefined;
  children?: ReactNode;
}

/** The list of one topic's feed, newest first. */
export function Feed({ feed, label, marks, empty, seq, children }: Props) {
  const held = useObservable(feed.feed);
  const { items, complete } = held;
  const where = seq == null ? "listed" : whereabouts(held, seq);
  const { refused } = useObservable(feed.status);
  const newestFirst = useMemo(() => [...items].reverse(), [items]);
  const loadOlder = useCallback(() => feed.loadOlder(), [feed]);
  return (
    <FeedList
      label={label}
      items={newestFirst}
      marks={marks}
      complete={complete}
      loadOlder={loadOlder}
      empty={empty}
      linked={seq == null ? undefined : place({ topic: feed.topic, seq })}
      seeking={where === "seeking"}
    >
      {seq === null && <NoSuchAddress />}
      {seq != null && <Linked topic={feed.topic} seq={seq} where={where} marks={marks} />}
      {refused !== "" && (
        <Alert color="yellow" m="sm" role="alert">
          {refused}
        </Alert>
      )}
      {children}
    </FeedList>
  );
}
