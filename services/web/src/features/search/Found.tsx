import { EmptyState } from "@mantine/core";
import { IconSearchOff } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useRef } from "react";
import { foundPage, type Place } from "@/api/pages";
import { useOwn, useServices } from "@/context/services";
import { FeedList } from "@/features/feed/FeedList";
import classes from "./Found.module.css";
import { useMarks } from "./useMarks";

interface Props extends Place {
  query: string;
  marks: boolean;
}

/** What a search finds, newest first, with its words marked. */
export default function Found({ topic, unread = false, query, marks }: Props) {
  const pages = useFound({ topic, unread }, query);
  const items = useMemo(() => pages.data?.pages.flatMap((page) => page.items) ?? [], [pages.data]);
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
        mixed={topic === undefined}
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
