/** What is said of a new notification beside showing it: a desktop notification, a sound, or nothing. Pure. */
import type { Notification } from "@/api/types";
import { notificationPath } from "./paths";
import { headline, plain, publisherName } from "./text";

export interface AlertWishes {
  readonly desktop: boolean;
  readonly sound: boolean;
  /** Only of notifications that are high or urgent. */
  readonly important: boolean;
}

export const QUIET: AlertWishes = { desktop: false, sound: false, important: false };

export interface Alert {
  readonly title: string;
  readonly text: string;
  readonly tag: string;
  /** The page that a click on it opens. */
  readonly path: string;
}

/** Whether the user is told of `item`, which they did not publish themselves. */
export function wanted(wishes: AlertWishes, item: Notification, own: string): boolean {
  if (item.publisher.id === own) return false;
  return !wishes.important || item.priority === "high" || item.priority === "urgent";
}

/** One alert for what came at once. */
export function alertOf(items: readonly Notification[], nameOf: (topic: string) => string): Alert | undefined {
  const last = items.at(-1);
  if (last === undefined) return undefined;
  const tag = `${last.topic}/${last.seq}`;
  if (items.length > 1) {
    const topics = [...new Set(items.map((item) => nameOf(item.topic)))].join(", ");
    return { title: `${items.length} notifications`, text: topics, tag, path: "/inbox" };
  }
  const text = last.title === "" ? `From ${publisherName(last)}` : plain(last.body).slice(0, 200);
  return { title: `${nameOf(last.topic)}: ${headline(last)}`, text, tag, path: notificationPath(last.topic, last.seq) };
}
