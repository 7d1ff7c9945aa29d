import { describe, expect, it } from "vitest";
import { begun, EMPTY, MAX_ITEMS, nextBefore, older, pushed, pushedAll, withoutRemoved } from "@/model/feed";
import { note, notes } from "./notifications";

const seqs = (feed: { items: readonly { seq: number }[] }) => feed.items.map((item) => item.seq);

describe("a feed", () => {
  it("goes on after the position of its join, and pages back from there", () => {
    let feed = begun(EMPTY, 10);
    expect(nextBefore(feed)).toBe(11);
    feed = pushed(feed, note("t", 11));
    feed = older(feed, 11, notes("t", 6, 10), 1);
    expect(seqs(feed)).toEqual([6, 7, 8, 9, 10, 11]);
    expect([feed.head, nextBefore(feed), feed.complete]).toEqual([11, 6, false]);
    feed = older(feed, 6, notes("t", 1, 5), 1);
    expect([seqs(feed)[0], feed.complete]).toEqual([1, true]);
  });

  it("takes nothing twice, whichever way it comes", () => {
    let feed = begun(EMPTY, 3);
    feed = pushedAll(feed, [note("t", 4), note("t", 5)]);
    expect(pushed(feed, note("t", 5))).toBe(feed);
    expect(pushedAll(feed, [note("t", 4)])).toBe(feed);
    feed = older(feed, 4, notes("t", 2, 4), 1);
    expect(seqs(feed)).toEqual([2, 3, 4, 5]);
  });

  it("is complete when nothing older is left, also where retention removed the beginning", () => {
    expect(begun(EMPTY, 0).complete).toBe(true);
    expect(older(begun(EMPTY, 9), 10, [], 10).complete).toBe(true);
    expect(older(begun(EMPTY, 9), 10, notes("t", 7, 9), 7).complete).toBe(true);
    expect(older(begun(EMPTY, 9), 10, notes("t", 7, 9), 6).complete).toBe(false);
  });

  it("passes over what has expired in the middle", () => {
    let feed = begun(EMPTY, 5);
    feed = pushedAll(feed, [note("t", 6), note("t", 9)]);
    expect([seqs(feed), feed.head]).toEqual([[6, 9], 9]);
  });

  it("lets go what retention removed, and has then all there is", () => {
    const feed = pushedAll(begun(EMPTY, 5), notes("t", 6, 10));
    const left = withoutRemoved(feed, 9);
    expect([seqs(left), left.head, left.complete]).toEqual([[9, 10], 10, true]);
    expect(withoutRemoved(feed, 3)).toBe(feed);
    expect([seqs(withoutRemoved(feed, 11)), withoutRemoved(feed, 11).head]).toEqual([[], 10]);
    expect(seqs(pushed(withoutRemoved(feed, 11), note("t", 11)))).toEqual([11]);
  });

  it("holds a bounded number, and loads the rest again", () => {
    const feed = pushedAll({ ...begun(EMPTY, 0) }, notes("t", 1, MAX_ITEMS + 1));
    expect(feed.items.length).toBeLessThanOrEqual(MAX_ITEMS);
    expect([feed.head, feed.complete]).toEqual([MAX_ITEMS + 1, false]);
    expect(nextBefore(feed)).toBe(feed.items[0]?.seq);
  });

  it("begins without a join from a page alone", () => {
    const feed = older(EMPTY, 8, notes("t", 5, 7), 1);
    expect([feed.head, nextBefore(feed)]).toEqual([7, 5]);
    expect(begun(feed, 9)).toBe(feed);
  });
});
