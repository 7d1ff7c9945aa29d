import { describe, expect, it } from "vitest";
import type { ThreadNotification } from "@/api/types";
import { DELETED, isUserId, together } from "@/model/thread";
import { note } from "./notifications";

const ADA = { id: "ada", name: "Ada" };
const BOB = { id: "bob", name: "Bob" };

const mine = (seq: number, second: number): ThreadNotification => ({
  ...note("user:bob", seq, { publisher: ADA, published_at: at(second) }),
  sent: true,
  acked: null,
});
const theirs = (seq: number, second: number) => note("user:ada", seq, { publisher: BOB, published_at: at(second) });
const at = (second: number) => new Date(1_700_000_000_000 + second * 1000).toISOString();
const read = (item: ReturnType<typeof theirs>): ThreadNotification => ({ ...item, sent: false, acked: true });

describe("a thread", () => {
  it("has both sides in order of time, and what came since once", () => {
    const pages = [
      [mine(2, 30), read(theirs(9, 40))],
      [mine(1, 10), read(theirs(8, 20))],
    ];
    const pushed = [theirs(9, 40), theirs(10, 50), note("user:ada", 11, { publisher: { id: "eve", name: "Eve" } })];
    const items = together({ pages, complete: true }, pushed, "bob", "ada");
    expect(items.map((item) => [item.topic, item.seq])).toEqual([
      ["user:bob", 1],
      ["user:ada", 8],
      ["user:bob", 2],
      ["user:ada", 9],
      ["user:ada", 10],
    ]);
    expect(items.map((item) => item.sent)).toEqual([true, false, true, false, false]);
  });

  it("of deleted users has those who have no id any more", () => {
    const gone = note("user:ada", 9, { publisher: { id: "", name: "Deleted user" } });
    const of = (other: string) => together({ pages: [[]], complete: true }, [gone, theirs(8, 20)], other, "ada");
    expect(of(DELETED).map((item) => item.seq)).toEqual([9]);
    expect(of("bob").map((item) => item.seq)).toEqual([8]);
  });

  it("shows one side only as far back as it has the other", () => {
    const pages = [[mine(2, 30)]];
    const pushed = [theirs(8, 20), theirs(9, 40)];
    const seqs = (complete: boolean) => together({ pages, complete }, pushed, "bob", "ada").map((item) => item.seq);
    expect(seqs(false)).toEqual([2, 9]);
    expect(seqs(true)).toEqual([8, 2, 9]);
  });
});

it("tells ids that say nothing to a reader from those of programs", () => {
  expect(isUserId("0192f0c1-3c5e-7a31-9d3e-0a1b2c3d4e5f")).toBe(true);
  for (const id of ["bob", "system:serviceaccount:prod:deployer", ""]) expect(isUserId(id)).toBe(false);
});
