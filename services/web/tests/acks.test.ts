import { describe, expect, it } from "vitest";
import { type AckBook, acked, countUnread, isAcked, subscribedTo, unacked, wayBack } from "@/model/acks";

const EMPTY: AckBook = new Map();

describe("acknowledgements", () => {
  it("are a cursor and single ones above it", () => {
    const book = acked(acked(EMPTY, "t", { up_to: 3 }), "t", { seqs: [5, 2] });
    expect([1, 2, 3, 4, 5, 6].map((seq) => isAcked(book, "t", seq))).toEqual([true, true, true, false, true, false]);
    expect(book.get("t")?.seqs).toEqual(new Set([5]));
    expect(isAcked(book, "other", 1)).toBe(false);
  });

  it("never go back, in whatever order they come", () => {
    const book = acked(acked(EMPTY, "t", { up_to: 9 }), "t", { up_to: 4, seqs: [7] });
    expect(book.get("t")).toEqual({ upTo: 9, seqs: new Set(), revision: 0 });
  });

  it("are the same book when nothing changes, so that nothing is drawn again", () => {
    const book = acked(EMPTY, "t", { up_to: 3, seqs: [6] });
    expect(acked(book, "t", { up_to: 2, seqs: [6, 1] })).toBe(book);
  });

  it("let the cursor take in the single ones it passes", () => {
    const book = acked(acked(EMPTY, "t", { seqs: [2, 8] }), "t", { up_to: 5 });
    expect(book.get("t")).toEqual({ upTo: 5, seqs: new Set([8]), revision: 0 });
    expect(countUnread(book, "t", [4, 5, 6, 7, 8])).toBe(2);
  });

  it("are known of what came before a subscription, and keep what is newer here", () => {
    const book = acked(EMPTY, "t", { up_to: 9 });
    const after = subscribedTo(book, [
      { topic: "t", acked_up_to: 4 },
      { topic: "history", acked_up_to: 20 },
    ]);
    expect([isAcked(after, "t", 9), isAcked(after, "history", 20), isAcked(after, "history", 21)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(subscribedTo(after, [{ topic: "history", acked_up_to: 20 }])).toBe(after);
  });

  it("go back where they are taken back, and what was said before that is out of date", () => {
    let book = acked(new Map(), "t", { up_to: 6, seqs: [8, 9] });
    book = unacked(book, "t", { seqs: [4, 9] });
    const read = () => [1, 2, 3, 4, 5, 6, 7, 8, 9].filter((seq) => isAcked(book, "t", seq));
    expect(read()).toEqual([1, 2, 3, 5, 6, 8]);
    book = acked(book, "t", { up_to: 9, revision: 0 });
    expect(read()).toEqual([1, 2, 3, 5, 6, 8]);
    book = acked(book, "t", { up_to: 9 });
    book = unacked(book, "t", { after: 3, up_to: 9, keep: [5, 6, 8] });
    expect(read()).toEqual([1, 2, 3, 5, 6, 8]);
    book = acked(book, "t", { up_to: 1, seqs: [7], revision: 5 });
    expect(read()).toEqual([1, 7]);
  });

  it("can be taken back without the server where the numbers say that all are known", () => {
    const acks = { upTo: 3, seqs: new Set([5, 9]), revision: 0 };
    expect(wayBack(acks, 8, 3, 1)).toEqual({ after: 3, up_to: 8, keep: [5] });
    expect(wayBack(acks, 8, 2, 1)).toBeUndefined();
  });
});
