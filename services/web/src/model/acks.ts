/** What the user has acknowledged, by topic: a cursor, and single ones above it. Only ever grows. Pure. */
import type { Subscription } from "@/api/types";

export interface Acks {
  readonly upTo: number;
  readonly seqs: ReadonlySet<number>;
}

export type AckBook = ReadonlyMap<string, Acks>;

/** What somebody acknowledges: everything up to a seq, or single ones. */
export interface Ack {
  readonly up_to?: number;
  readonly seqs?: readonly number[];
}

export const NONE: Acks = { upTo: 0, seqs: new Set() };

export function isAcked(book: AckBook, topic: string, seq: number): boolean {
  const acks = book.get(topic);
  return acks !== undefined && (seq <= acks.upTo || acks.seqs.has(seq));
}

/** The book with `ack` in `topic`; the same book where that changes nothing. */
export function acked(book: AckBook, topic: string, ack: Ack): AckBook {
  const before = book.get(topic) ?? NONE;
  const upTo = Math.max(before.upTo, ack.up_to ?? 0);
  const fresh = (ack.seqs ?? []).filter((seq) => seq > upTo && !before.seqs.has(seq));
  if (upTo === before.upTo && fresh.length === 0) return book;
  const seqs = new Set([...before.seqs, ...fresh].filter((seq) => seq > upTo));
  return new Map(book).set(topic, { upTo, seqs });
}

/** The book as the user's subscriptions say: one that begins at a topic's end leaves what came before it read. */
export function subscribedTo(
  book: AckBook,
  subscriptions: readonly Pick<Subscription, "topic" | "acked_up_to">[],
): AckBook {
  return subscriptions.reduce((held, { topic, acked_up_to }) => acked(held, topic, { up_to: acked_up_to }), book);
}

/** How many of `seqs` are not acknowledged. */
export function countUnread(book: AckBook, topic: string, seqs: Iterable<number>): number {
  let unread = 0;
  for (const seq of seqs) if (!isAcked(book, topic, seq)) unread += 1;
  return unread;
}
