/** The direct messages with one other, as this window holds them: pages of both sides, and what came since. Pure. */
import type { Notification, ThreadNotification } from "@/api/types";
import { place } from "./inbox";

/** The thread of what deleted users sent: in the messages themselves, they have no id. */
export const DELETED = "deleted";

/** How often it was said that the user sent something: to whom, or to somebody (""). */
export type Sent = ReadonlyMap<string, number>;

export function sentOnceMore(sent: Sent, to: string | null): Sent {
  const key = to ?? "";
  return new Map(sent).set(key, (sent.get(key) ?? 0) + 1);
}

/** Another number whenever something new may be in the thread with `other`, or in any. */
export function timesSent(sent: Sent, other?: string): number {
  if (other !== undefined) return (sent.get(other) ?? 0) + (sent.get("") ?? 0);
  return [...sent.values()].reduce((sum, times) => sum + times, 0);
}

/** Whether `id` is that of a person, which says nothing to a reader. */
export function isUserId(id: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id);
}

export interface Loaded {
  /** The newest first, each ascending by time. */
  readonly pages: readonly (readonly ThreadNotification[])[];
  /** Whether there is nothing older. */
  readonly complete: boolean;
}

/**
 * All that is known, ascending by time. `pushed`: what the user's own inbox brought, of anybody; what is older than the
 * pages is left out, since the other side of it is not loaded.
 */
export function together({ pages, complete }: Loaded, pushed: readonly Notification[], other: string, own: string) {
  const items = new Map<string, ThreadNotification>();
  for (const page of pages) for (const item of page) items.set(place(item), item);
  const oldest = pages.at(-1)?.[0]?.published_at;
  for (const item of pushed) {
    if ((item.publisher.id || DELETED) !== other || items.has(place(item))) continue;
    if (!complete && (oldest === undefined || item.published_at < oldest)) continue;
    items.set(place(item), { ...item, sent: other === own, acked: false });
  }
  return [...items.values()].sort(inTime);
}

function inTime(a: Notification, b: Notification): number {
  if (a.published_at !== b.published_at) return a.published_at < b.published_at ? -1 : 1;
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return a.seq - b.seq;
}
