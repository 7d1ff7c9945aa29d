import { Alert } from "@mantine/core";
import { type ReactNode, useCallback, useMemo } from "react";
import { useObservable } from "@/context/services";
import type { TopicFeed } from "@/model/topicFeed";
import { FeedList } from "./FeedList";

interface Props {
  feed: TopicFeed;
  label: string;
  marks: boolean;
  empty: ReactNode;
  children?: ReactNode;
}

/** The list of one topic's feed, newest first. */
export function Feed({ feed, label, marks, empty, children }: Props) {
  const { items, complete } = useObservable(feed.feed);
  const { refused } = useObservable(feed.status);
  const newestFirst = useMemo(() => [...items].reverse(), [items]);
  const loadOlder = useCallback(() => feed.loadOlder(), [feed]);
  return (
    <FeedList label={label} items={newestFirst} marks={marks} complete={complete} loadOlder={loadOlder} empty={empty}>
      {refused !== "" && (
        <Alert color="yellow" m="sm" role="alert">
          {refused}
        </Alert>
      )}
      {children}
    </FeedList>
  );
}
