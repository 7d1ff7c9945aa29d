import { describe, expect, it } from "vitest";
import { alertOf } from "@/model/alerts";
import { EMPTY, older } from "@/model/feed";
import { FAR, whereabouts } from "@/model/linked";
import { notificationPath, seqOf } from "@/model/paths";
import { note } from "./notifications";

describe("the address of a notification", () => {
  it("is of its topic, and of one's own messages", () => {
    expect(notificationPath("a.b", 7)).toBe("/topics/a.b/n/7");
    expect(notificationPath("user:u1", 7)).toBe("/messages/n/7");
    expect(["7", "0", "x", "-1", "1e3", "10000000000000000"].map(seqOf)).toEqual([7, ...Array(5).fill(null)]);
  });

  it("is what an alert opens", () => {
    expect(alertOf([note("t", 4)], String)?.path).toBe("/topics/t/n/4");
    expect(alertOf([note("t", 4), note("s", 2)], String)?.path).toBe("/inbox");
  });

  it("says where the notification is, as far as is known", () => {
    const items = [5000, 5001, 5003].map((seq) => note("t", seq));
    const feed = older(EMPTY, 5004, items, 1);
    expect(whereabouts(EMPTY, 5)).toBe("seeking");
    expect(whereabouts(feed, 5001)).toBe("listed");
    expect(whereabouts(feed, 5002)).toBe("gone");
    expect(whereabouts(feed, 5004)).toBe("future");
    expect(whereabouts(feed, 4999 - FAR + 1)).toBe("seeking");
    expect(whereabouts(feed, 4999 - FAR)).toBe("far");
    expect(whereabouts({ ...feed, complete: true }, 12)).toBe("gone");
  });
});
