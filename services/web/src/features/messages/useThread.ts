import { useInfiniteQuery } from "@tanstack/react-query";
import { useLayoutEffect, useMemo, useRef, useState } from "react";
import { threadQuery } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import type { Message } from "@/model/outbox";
import { messagesTo } from "@/model/outbox";
import { isUserId, timesSent, together } from "@/model/thread";
import type { TopicFeed } from "@/model/topicFeed";
import { useLately } from "./useLately";

/** The messages with `other`, as far back as was asked for, and live. */
export function useThread(other: string, feed: TopicFeed) {
  const { live, user } = useOwn();
  const { api } = useServices();
  const query = useInfiniteQuery(threadQuery(api, other, (seqs) => live.acked(live.ownInbox, { seqs })));
  const { items: pushed } = useObservable(feed.feed);
  const { data, hasNextPage } = query;
  const sent = useObservable(live.sent);
  useLately(() => query.refetch(), timesSent(sent, other));
  const items = useMemo(() => {
    if (data === undefined) return [];
    const pages = data.pages.map((page) => page.items);
    return together({ pages, complete: !hasNextPage }, pushed, other, user.id);
  }, [data, hasNextPage, pushed, other, user.id]);
  const theirs = items.find((item) => !item.sent);
  const name = data?.pages[0]?.name || theirs?.publisher.name;
  // Who has no account has a readable id; and with messages, one without a name is known by the id alone.
  const known = name || (!isUserId(other) || items.length > 0 ? other : undefined);
  return { query, items, name: known };
}

/** What was written to `other` and is not in the thread yet; one that was sent stays until it is. */
export function useUnsent(other: string, read: () => Promise<unknown>) {
  const { live } = useOwn();
  const { entries, problem } = useObservable(live.outbox.state);
  const waiting = useMemo(
    () => messagesTo(entries, undefined).filter((message) => message.target === other),
    [entries, other],
  );
  const [sent, setSent] = useState<readonly Message[]>([]);
  const before = useRef(waiting);
  const discarded = useRef(new Set<string>());
  useLayoutEffect(() => {
    const keys = new Set(waiting.map((message) => message.key));
    const gone = before.current.filter(({ key }) => !keys.has(key) && !discarded.current.has(key));
    before.current = waiting;
    if (gone.length === 0) return;
    setSent((held) => [...held, ...gone]);
    void read().finally(() => setSent((held) => held.filter((message) => !gone.includes(message))));
  }, [waiting, read]);
  const discard = (key: string) => {
    discarded.current.add(key);
    live.outbox.discard(key);
  };
  return { waiting: [...sent, ...waiting], problem, discard, retry: (key: string) => live.outbox.retry(key) };
}
