import { describe, expect, it } from "vitest";
import { arrived, EMPTY, older, place, reaches, refreshed, without, withoutRemoved } from "@/model/inbox";
import { linkOf } from "@/model/link";
import { listed } from "@/model/sidebar";
import { among, badge, counted, countOf, moved, PushTimes, toAcknowledge, total, UNKNOWN } from "@/model/unread";
import { note } from "./notifications";

const inboxNote = (topic: string, seq: number, at: number) => ({
  ...note(topic, seq, { published_at: new Date(at * 1000).toISOString() }),
  acked: false,
});

describe("the inbox", () => {
  it("is newest first across topics, with each of them once", () => {
    let inbox = older(EMPTY, [inboxNote("b", 4, 40), inboxNote("a", 9, 30)], "cursor");
    inbox = arrived(inbox, [inboxNote("a", 10, 50), inboxNote("b", 4, 40)]);
    inbox = older(inbox, [inboxNote("a", 9, 30), inboxNote("b", 3, 20)], null);
    expect(inbox.items.map(place)).toEqual(["a/10", "b/4", "a/9", "b/3"]);
    expect(inbox.next).toBeNull();
  });

  it("lets go what retention removed of one topic", () => {
    const held = older(EMPTY, [inboxNote("a", 2, 30), inboxNote("b", 1, 20), inboxNote("a", 1, 10)], null);
    expect(withoutRemoved(held, "a", 2).items.map(place)).toEqual(["a/2", "b/1"]);
    expect(withoutRemoved(held, "a", 1)).toBe(held);
  });

  it("keeps a topic's own order when its times do not", () => {
    const inbox = arrived(older(EMPTY, [inboxNote("a", 1, 50)], null), [inboxNote("a", 2, 40)]);
    expect(inbox.items.map(place)).toEqual(["a/2", "a/1"]);
  });

  it("is read anew when a look at the top does not meet what is held", () => {
    const held = older(EMPTY, [inboxNote("a", 1, 10)], "old");
    const met = [inboxNote("a", 3, 30), inboxNote("a", 1, 10)];
    const unmet = [inboxNote("a", 9, 90)];
    expect([reaches(held, met), reaches(held, unmet)]).toEqual([true, false]);
    expect(refreshed(held, met, "x", true)).toMatchObject({ next: "old" });
    expect(refreshed(held, unmet, "new", false).items.map(place)).toEqual(["a/9"]);
  });

  it("lets go of topics that are gone", () => {
    const held = older(EMPTY, [inboxNote("a", 1, 10), inboxNote("b", 1, 11)], null);
    expect(without(held, new Set(["a"])).items.map(place)).toEqual(["b/1"]);
    expect(without(held, new Set(["c"]))).toBe(held);
  });
});

describe("unread counts", () => {
  it("add up, go down by what is acknowledged, and never below nothing", () => {
    let unread = counted(counted(among(UNKNOWN, new Set(["a", "b"])), "a", 3), "b", 1);
    expect(total(unread)).toBe(4);
    unread = moved(unread, "a", -5);
    expect(countOf(unread, "a")).toBe(0);
    expect(moved(unread, "unknown", 1)).toBe(unread);
    expect(total(among(unread, new Set(["b"])))).toBe(1);
    expect([badge(999), badge(1000)]).toEqual(["999", "999+"]);
  });

  it("are not known, which is not none, until every subscription's was read", () => {
    const some = counted(UNKNOWN, "a", 0);
    expect([total(some), countOf(some, "a"), countOf(some, "b")]).toEqual([undefined, 0, undefined]);
    expect(toAcknowledge(countOf(some, "b"), 0)).toEqual({ words: "Unread: not known yet", idle: true });
    const all = among(some, new Set(["a", "b"]));
    expect([total(all), countOf(all, "b")]).toEqual([0, 0]);
    expect([toAcknowledge(0, 0), toAcknowledge(0, 2), toAcknowledge(3, 0)].map(({ words }) => words)).toEqual([
      "All read",
      "Acknowledge",
      "Acknowledge 3",
    ]);
  });

  it("put topics with something unread first in the side bar", () => {
    const counts = counted(counted(among(UNKNOWN, new Set()), "ops.b", 2), "ops.a", 0);
    expect(listed(["web", "ops.a", "ops.b"], counts, "")).toEqual(["ops.b", "ops.a", "web"]);
    expect(listed(["web", "ops.a", "ops.b"], counts, " OPS")).toEqual(["ops.b", "ops.a"]);
    expect(listed(["b", "a"], UNKNOWN, "")).toEqual(["a", "b"]);
  });

  it("and the link to the server are not said to be live while they are not", () => {
    const well = { connection: "live", answering: true, joined: true, troubled: false } as const;
    expect(linkOf(well)).toBe("live");
    expect(linkOf({ ...well, joined: false })).toBe("connecting");
    expect(linkOf({ ...well, troubled: true })).toBe("troubled");
    expect(linkOf({ ...well, troubled: true, answering: false })).toBe("silent");
    expect(linkOf({ ...well, connection: "offline", answering: false })).toBe("offline");
  });
});

describe("counts that were pushed", () => {
  it("are newer than an answer that was asked for before", () => {
    const pushes = new PushTimes();
    expect(pushes.isNews("a", 1)).toBe(true);
    pushes.pushed("a", 5);
    expect([4, 5, 6].map((asked) => pushes.isNews("a", asked))).toEqual([false, false, true]);
    expect(pushes.isNews("b", 1)).toBe(true);
  });
});
