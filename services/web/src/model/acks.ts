/** What the user has acknowledged, by topic: a cursor, and single ones above it. Pure. */
import type { Subscription } from "@/api/types";

export interface Acks {
  readonly upTo: number;
  readonly seqs: ReadonlySet<number>;
  /** Grows each time acknowledgements are taken back. Within one revision the rest only grows. */
  readonly revision: number;
}

export type AckBook = ReadonlyMap<string, Acks>;

/** What somebody acknowledges: everything up to a seq, or single ones. */
export interface Ack {
  readonly up_to?: number;
  readonly seqs?: readonly number[];
  /** Of what the server says: the revision of this position. Of what the user does: the one known. */
  readonly revision?: number;
}

/** Which acknowledgements are taken back: single ones, or all in (`after`, `up_to`] but `keep`. */
export type Unack =
  | { readonly seqs: readonly number[] }
  | { readonly after: number; readonly up_to: number; readonly keep: readonly number[] };

export const NONE: Acks = { upTo: 0, seqs: new Set(), revision: 0 };

export function isAcked(book: AckBook, topic: string, seq: number): boolean {
  const acks = book.get(topic);
  return acks !== undefined && (seq <= acks.upTo || acks.seqs.has(seq));
}

/** The book with `ack` in `topic`; the same book where that changes nothing. */
export function acked(book: AckBook, topic: string, ack: Ack): AckBook {
  const known = book.get(topic) ?? NONE;
  const revision = ack.revision ?? known.revision;
  // Said before something was taken back: out of date.
  if (revision < known.revision) return book;
  const before = revision > known.revision ? NONE : known;
  const upTo = Math.max(before.upTo, ack.up_to ?? 0);
  const fresh = (ack.seqs ?? []).filter((seq) => seq > upTo && !before.seqs.has(seq));
  if (before === known && upTo === before.upTo && fresh.length === 0) return book;
  const seqs = new Set([...before.seqs, ...fresh].filter((seq) => seq > upTo));
  return new Map(book).set(topic, { upTo, seqs, revision });
}

/** The book after the user took acknowledgements back, as the server will have it, in its next revision. */
export function unacked(book: AckBook, topic: string, unack: Unack): AckBook {
  const known = book.get(topic) ?? NONE;
  const single = "seqs" in unack ? new Set(unack.seqs) : undefined;
  const keep = new Set("keep" in unack ? unack.keep : []);
  const goesBack = (seq: number) =>
    "seqs" in unack ? single?.has(seq) === true : seq > unack.after && seq <= unack.up_to && !keep.has(seq);
  const lowest = "seqs" in unack ? Math.min(...unack.seqs) : unack.after + 1;
  const upTo = Math.min(known.upTo, lowest - 1);
  const seqs = new Set([...known.seqs].filter((seq) => !goesBack(seq)));
  for (let seq = upTo + 1; seq <= known.upTo; seq += 1) if (!goesBack(seq)) seqs.add(seq);
  return new Map(book).set(topic, { upTo, seqs, revision: known.revision + 1 });
}

/**
 * What takes an acknowledgement of everything up to `head` back, by what this window knows itself: which are read above
 * the cursor, and how many are not. Undefined where the numbers show that it does not know each one read singly.
 */
export function wayBack(acks: Acks, head: number, unread: number, expired: number): Unack | undefined {
  const keep = [...acks.seqs].filter((seq) => seq <= head);
  if (head - acks.upTo - keep.length !== unread + expired) return undefined;
  return { after: acks.upTo, up_to: head, keep };
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
