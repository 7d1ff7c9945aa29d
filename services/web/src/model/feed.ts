/** A topic's feed as this window holds it: pages of its log and live pushes, merged. Pure. */
import type { Notification } from "@/api/types";

export interface Feed {
  /** Ascending by seq. Between `low` and `head` nothing that still exists is missing. */
  readonly items: readonly Notification[];
  /** Everything with a larger seq, up to `head`, is loaded; undefined before anything is known. */
  readonly low: number | undefined;
  /** The last seq seen: what a rejoin goes on after. */
  readonly head: number | undefined;
  /** There is nothing older. */
  readonly complete: boolean;
}

/** More than this is not held: what is oldest is let go, and loaded again when somebody scrolls there. */
export const MAX_ITEMS = 20_000;

export const EMPTY: Feed = { items: [], low: undefined, head: undefined, complete: false };

/** The channel was joined without a position: what comes now follows `lastSeq`. */
export function begun(feed: Feed, lastSeq: number): Feed {
  if (feed.head !== undefined) return feed;
  return { items: [], low: lastSeq, head: lastSeq, complete: lastSeq === 0 };
}

/** One that was pushed. A repeated one changes nothing. */
export function pushed(feed: Feed, item: Notification): Feed {
  if (feed.head !== undefined && item.seq <= feed.head) return feed;
  const low = feed.low ?? item.seq - 1;
  return bounded({ items: [...feed.items, item], low, head: item.seq, complete: feed.complete });
}

/** Several that were pushed, in their order. */
export function pushedAll(feed: Feed, items: readonly Notification[]): Feed {
  const head = feed.head ?? -1;
  const fresh = items.filter((item) => item.seq > head);
  const last = fresh.at(-1);
  if (last === undefined) return feed;
  const low = feed.low ?? (fresh[0]?.seq ?? 1) - 1;
  return bounded({ items: [...feed.items, ...fresh], low, head: last.seq, complete: feed.complete });
}

/** A page of what is older: the newest `items` below `before`, of a log whose oldest is `firstSeq`. */
export function older(feed: Feed, before: number, items: readonly Notification[], firstSeq: number): Feed {
  const oldest = feed.items[0]?.seq ?? Number.POSITIVE_INFINITY;
  const fresh = items.filter((item) => item.seq < oldest);
  const bottom = items[0]?.seq;
  return {
    items: [...fresh, ...feed.items],
    low: bottom === undefined ? 0 : bottom - 1,
    head: feed.head ?? Math.max(before - 1, 0),
    complete: bottom === undefined || bottom <= firstSeq,
  };
}

/** Retention removed everything before `firstSeq`. */
export function withoutRemoved(feed: Feed, firstSeq: number): Feed {
  if (feed.low === undefined || feed.low >= firstSeq - 1) return feed;
  return { ...feed, items: feed.items.filter((item) => item.seq >= firstSeq), complete: true };
}

/** The `before` of the next older page. */
export function nextBefore(feed: Feed): number | undefined {
  return feed.low === undefined ? undefined : feed.low + 1;
}

function bounded(feed: Feed): Feed {
  if (feed.items.length <= MAX_ITEMS) return feed;
  const items = feed.items.slice(feed.items.length - MAX_ITEMS * 0.9);
  return { ...feed, items, low: (items[0]?.seq ?? 1) - 1, complete: false };
}
