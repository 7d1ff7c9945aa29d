/**
 * Counts by topic, as the server pushes them and as the user's own acknowledgements change them: what is unread, and what
 * was removed before it was read. What was not read from the server yet is not known, which is not none. Pure.
 */
export interface Counts {
  readonly of: ReadonlyMap<string, number>;
  /** Whether every subscription's count is known: a topic that is not in `of` then has none. */
  readonly all: boolean;
}

export const UNKNOWN: Counts = { of: new Map(), all: false };

/**
 * When counts were pushed, by topic. An answer may be older than a push that came while it was on its way, and whatever
 * changes a count later is pushed again: so an answer counts only where nothing came after it was asked for.
 */
export class PushTimes {
  readonly #of = new Map<string, number>();

  pushed(topic: string, now: number): void {
    this.#of.set(topic, now);
  }

  isNews(topic: string, asked: number): boolean {
    return (this.#of.get(topic) ?? Number.NEGATIVE_INFINITY) < asked;
  }
}

/** The sum over all subscriptions; undefined while it is not known. */
export function total(counts: Counts): number | undefined {
  if (!counts.all) return undefined;
  let sum = 0;
  for (const count of counts.of.values()) sum += count;
  return sum;
}

/** The count of one topic; undefined while it is not known. */
export function countOf(counts: Counts, topic: string): number | undefined {
  return counts.of.get(topic) ?? (counts.all ? 0 : undefined);
}

/** With the count of one topic; the same where nothing changes. */
export function counted(counts: Counts, topic: string, count: number): Counts {
  return counts.of.get(topic) === count ? counts : { ...counts, of: new Map(counts.of).set(topic, count) };
}

/** Other by what was acknowledged just now, or taken back; the server's own count follows. */
export function moved(counts: Counts, topic: string, by: number): Counts {
  const before = counts.of.get(topic);
  return before === undefined ? counts : counted(counts, topic, Math.max(0, before + by));
}

/** Of `topics`, which are all that is subscribed to; the count of each follows. */
export function among(counts: Counts, topics: ReadonlySet<string>): Counts {
  const kept = [...counts.of].filter(([topic]) => topics.has(topic));
  return counts.all && kept.length === counts.of.size ? counts : { of: new Map(kept), all: true };
}

/** A count as a badge shows it. */
export function badge(count: number): string {
  return count > 999 ? "999+" : String(count);
}

/** What there is to acknowledge, as a button says it; `idle` where there is nothing, or nothing known. */
export function toAcknowledge(
  unread: number | undefined,
  expired: number | undefined,
): { readonly words: string; readonly idle: boolean } {
  if (unread === undefined || expired === undefined) return { words: "Unread: not known yet", idle: true };
  if (unread > 0) return { words: `Acknowledge ${unread}`, idle: false };
  return expired > 0 ? { words: "Acknowledge", idle: false } : { words: "All read", idle: true };
}
