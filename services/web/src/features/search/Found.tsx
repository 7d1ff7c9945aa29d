import { EmptyState } from "@mantine/core";
import { IconSearchOff } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useRef } from "react";
import { foundPage, type Place } from "@/api/pages";
import type { Notification } from "@/api/types";
import { useOwn, useServices } from "@/context/services";
import { FeedList } from "@/features/feed/FeedList";
import { recipientOf } from "@/model/paths";
import classes from "./Found.module.css";
import { useMarks } from "./useMarks";

interface Props extends Place {
  query: string;
  marks: boolean;
}

/** What a search finds, newest first, with its words marked. */
export default function Found({ topic, unread = false, direct = false, query, marks }: Props) {
  const { live } = useOwn();
  const pages = useFound({ topic, unread, direct }, query);
  // Both kinds of pages have notifications with some more fields.
  const items = useMemo(() => pages.data?.pages.flatMap((page): Notification[] => page.items) ?? [], [pages.data]);
  const names = useMemo(
    () => Object.assign({}, ...(pages.data?.pages.map((page) => ("names" in page ? page.names : {})) ?? [])),
    [pages.data],
  );
  const nameOf = (name: string) => {
    const to = recipientOf(name, live.ownInbox);
    if (to !== undefined) return `To ${names[to] ?? to}`;
    return direct ? undefined : live.nameOf(name);
  };
  const { fetchNextPage } = pages;
  const loadOlder = useCallback(async () => {
    const loaded = await fetchNextPage({ cancelRefetch: false });
    if (loaded.isError) throw loaded.error;
  }, [fetchNextPage]);
  const list = useRef<HTMLDivElement>(null);
  useMarks(list, query);
  return (
    <div ref={list} className={classes.found}>
      <FeedList
        key={`${unread} ${query}`}
        label={`Notifications with ${query}`}
        items={items}
        marks={marks}
        nameOf={topic === undefined ? nameOf : undefined}
        complete={pages.data !== undefined && !pages.hasNextPage}
        loadOlder={loadOlder}
        empty={
          <EmptyState
            icon={<IconSearchOff />}
            title={`Nothing has: ${query}`}
            description='All words have to occur, in title, body or data. "Phrases" in quotes, and -words to leave out.'
          />
        }
      />
    </div>
  );
}

/** The pages of a search. One that ends early without anything found is continued at once. */
function useFound(place: Place, query: string) {
  const { api } = useServices();
  const { live } = useOwn();
  return useInfiniteQuery({
    queryKey: ["found", place, query],
    queryFn: async ({ pageParam, signal }) => {
      let after = pageParam;
      for (;;) {
        const page = await foundPage(api, place, query, after);
        for (const item of page.items) if (item.acked) live.acked(item.topic, { seqs: [item.seq] });
        if (page.items.length > 0 || page.next === null || signal.aborted) return page;
        after = page.next;
      }
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    // The list asks for each page, also for the first, and shows why one failed.
    enabled: false,
    retry: false,
    staleTime: 60_000,
  });
}
