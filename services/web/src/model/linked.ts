/** Where a notification that a link leads to is, seen from what is loaded of its topic. Pure. */
import type { Feed } from "./feed";

/** Further back than this it is shown by itself: too many pages lie between. */
export const FAR = 1_000;

/** `seeking`: an older page may have it. `gone`: it was removed. `future`: the topic is not that far. */
export type Whereabouts = "listed" | "seeking" | "far" | "gone" | "future";

export function whereabouts(feed: Feed, seq: number): Whereabouts {
  if (feed.items.some((item) => item.seq === seq)) return "listed";
  const { low, head = 0 } = feed;
  if (low === undefined) return "seeking";
  if (seq > head) return "future";
  if (seq > low || feed.complete) return "gone";
  return low - seq < FAR ? "seeking" : "far";
}
