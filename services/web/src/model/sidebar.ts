/** Which topics the side bar lists, and in what order. Pure. */
import { type Counts, countOf } from "./unread";

/** A filter is offered from this many topics on: fewer are seen at a glance. */
export const FILTERED_FROM = 8;

/** Those whose name contains what is `wanted`: what is unread first, each part by name. */
export function listed(topics: readonly string[], unread: Counts, wanted: string): readonly string[] {
  const part = wanted.trim().toLowerCase();
  const some = (topic: string) => Number((countOf(unread, topic) ?? 0) > 0);
  return topics
    .filter((topic) => topic.toLowerCase().includes(part))
    .sort((a, b) => some(b) - some(a) || (a < b ? -1 : 1));
}
