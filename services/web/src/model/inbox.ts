/** The inbox as this window holds it: pages across all subscriptions, newest first, and live pushes. Pure. */
import type { InboxNotification, Notification } from "@/api/types";

export interface Inbox {
  /** Newest first. */
  readonly items: readonly Notification[];
  /** The cursor of the next older page; null: there is none; undefined: nothing is loaded yet. */
  readonly next: string | null | undefined;
}

export const MAX_ITEMS = 20_000;

export const EMPTY: Inbox = { items: [], next: undefined };

/** Identifies a notification everywhere. */
export function place(item: Pick<Notification, "topic" | "seq">): string {
  return `${item.topic}/${item.seq}`;
}

/** Live ones: they may come late for their time, and twice. */
export function arrived(inbox: Inbox, items: readonly Notification[]): Inbox {
  const merged = merge(inbox.items, items);
  return merged === inbox.items ? inbox : { ...inbox, items: merged.slice(0, MAX_ITEMS) };
}

/** The next older page. */
export function older(inbox: Inbox, page: readonly InboxNotification[], next: string | null): Inbox {
  return { items: merge(inbox.items, page), next };
}

/** Whether a page read from the top reaches what is held already, so that nothing lies between. */
export function reaches(inbox: Inbox, page: readonly Notification[]): boolean {
  const held = new Set(inbox.items.map(place));
  return page.some((item) => held.has(place(item)));
}

/** Pages read from the top, in place of what is held (`joined` false: there is a gap between) or on top of it. */
export function refreshed(
  inbox: Inbox,
  page: readonly InboxNotification[],
  next: string | null,
  joined: boolean,
): Inbox {
  if (inbox.next === undefined || !joined) return { items: merge([], page), next };
  return { ...inbox, items: merge(inbox.items, page) };
}

/** Without those of topics that are gone, or no longer subscribed to. */
export function without(inbox: Inbox, topics: ReadonlySet<string>): Inbox {
  const items = inbox.items.filter((item) => !topics.has(item.topic));
  return items.length === inbox.items.length ? inbox : { ...inbox, items };
}

/** Retention removed everything of `topic` before `firstSeq`. */
export function withoutRemoved(inbox: Inbox, topic: string, firstSeq: number): Inbox {
  const items = inbox.items.filter((item) => item.topic !== topic || item.seq >= firstSeq);
  return items.length === inbox.items.length ? inbox : { ...inbox, items };
}

function merge(held: readonly Notification[], fresh: readonly Notification[]): readonly Notification[] {
  const known = new Set(held.map(place));
  const added = fresh.filter((item) => !known.has(place(item)));
  if (added.length === 0) return held;
  return [...held, ...added].sort(newestFirst);
}

function newestFirst(a: Notification, b: Notification): number {
  if (a.topic === b.topic) return b.seq - a.seq;
  if (a.published_at !== b.published_at) return a.published_at < b.published_at ? 1 : -1;
  return a.topic < b.topic ? 1 : -1;
}
