/**
 * Counts by topic, as the server pushes them and as the user's own acknowledgements change them: what is unread, and what
 * was removed before it was read. Pure.
 */
export type Unread = ReadonlyMap<string, number>;

export function total(unread: Unread): number {
  let sum = 0;
  for (const count of unread.values()) sum += count;
  return sum;
}

/** The count of one topic; the same map where nothing changes. */
export function counted(unread: Unread, topic: string, count: number): Unread {
  return unread.get(topic) === count ? unread : new Map(unread).set(topic, count);
}

/** Fewer by what was acknowledged just now; the server's own count follows. */
export function lowered(unread: Unread, topic: string, by: number): Unread {
  const before = unread.get(topic);
  return before === undefined || by <= 0 ? unread : counted(unread, topic, Math.max(0, before - by));
}

/** Only what is still subscribed to. */
export function among(unread: Unread, topics: ReadonlySet<string>): Unread {
  const kept = [...unread].filter(([topic]) => topics.has(topic));
  return kept.length === unread.size ? unread : new Map(kept);
}

/** A count as a badge shows it. */
export function badge(count: number): string {
  return count > 999 ? "999+" : String(count);
}
