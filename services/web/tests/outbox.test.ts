import { describe, expect, it } from "vitest";
import { ApiError, NO_ANSWER, unreachable } from "@/api/errors";
import { BLANK, writtenOf } from "@/features/publish/draft";
import {
  afterFailure,
  beforeTry,
  canBeDiscarded,
  type Entry,
  full,
  MAX_ENTRIES,
  type Message,
  messagesTo,
  nextToSend,
  statusText,
  whyWaiting,
} from "@/model/outbox";

const HOUR = 3_600_000;

function publish(key: string, at: number, more: object = {}): Entry {
  return { kind: "publish", target: "t", body: { title: key }, key, at, ...more } as Entry;
}

describe("the outbox", () => {
  it("says how a message stands, and lets go of what no server has", () => {
    const message = publish("a", 1) as Message;
    const refused = { ...message, problem: "There is no such user." };
    expect(statusText(message, "")).toBe("Sending");
    expect(statusText(message, NO_ANSWER)).toBe("Sending. The server has not answered yet.");
    expect(statusText(message, "It is away.")).toBe("Waiting to be sent. It is away.");
    expect(statusText(refused, NO_ANSWER)).toBe("There is no such user.");
    const discardable = ["", NO_ANSWER, "It is away."].map((problem) => canBeDiscarded(message, problem));
    expect([...discardable, canBeDiscarded(refused, NO_ANSWER)]).toEqual([false, false, true, true]);
  });

  it("has its own words for an outcome that nobody knows, as a person has no key", () => {
    const message = publish("a", 1) as Message;
    const said = whyWaiting(new ApiError(504, "deadline_exceeded", "Send it again with its key."));
    expect(statusText(message, said)).toMatch(/^Sending\. It is not known yet .* sent again by itself/);
    expect(canBeDiscarded(message, said)).toBe(false);
    expect(whyWaiting(new ApiError(503, "unavailable", "Later."))).toBe("Later.");
  });

  it("sends in the order of the doing, around what was refused", () => {
    const entries = [publish("c", 3), publish("a", 1, { problem: "no" }), publish("b", 2)];
    expect(nextToSend(entries)?.key).toBe("b");
    expect(nextToSend([publish("a", 1, { problem: "no" })])).toBeUndefined();
    expect(messagesTo(entries, "t").map((entry) => entry.key)).toEqual(["a", "b", "c"]);
    expect(messagesTo(entries, undefined)).toEqual([]);
  });

  it("keeps what may pass and gives up what was refused", () => {
    const entry = publish("a", 1);
    expect(afterFailure(entry, unreachable())).toBe(entry);
    expect(afterFailure(entry, new ApiError(503, "unavailable", "Later."))).toBe(entry);
    expect(afterFailure(entry, new ApiError(401, "signed_out", "You are signed out."))).toBe(entry);
    expect(afterFailure(entry, new ApiError(403, "not_a_publisher", "You may not."))).toMatchObject({
      problem: "You may not.",
    });
    const ack: Entry = { kind: "ack", target: "t", body: { up_to: 3 }, key: "k", at: 1 };
    expect(afterFailure(ack, new ApiError(404, "not_found", "Gone."))).toBe("done");
  });

  it("does not repeat by itself what the server no longer recognises", () => {
    const tried = beforeTry(publish("a", 0), 1000);
    expect(tried.triedAt).toBe(1000);
    expect(beforeTry(tried, 2000).triedAt).toBe(1000);
    expect(beforeTry(tried, 1000 + 22 * HOUR).problem).toBeUndefined();
    expect(beforeTry(tried, 1000 + 24 * HOUR).problem).toMatch(/not known/);
    expect(beforeTry(publish("never tried", 0), 48 * HOUR).problem).toBeUndefined();
  });

  it("gives what was refused back to be edited, all of it", () => {
    const data = '{"n": 12345678901234567890}';
    const body = { title: "a", body: "b", priority: "high" as const };
    const refused: Message = { kind: "send", target: "nobody@x.org", body, data, key: "k", at: 1, problem: "no" };
    const { title, body: text, priority } = body;
    expect(writtenOf(refused)).toEqual({ to: refused.target, title, body: text, priority, withData: true, text: data });
    expect(writtenOf(publish("a", 1) as Message)).toEqual({ ...BLANK, to: "t", title: "a" });
    const older = writtenOf(publish("a", 1, { body: { data: { a: 1 } } }) as Message);
    expect(JSON.parse(older.text)).toEqual({ a: 1 });
  });

  it("is bounded in number and size", () => {
    const many = Array.from({ length: MAX_ENTRIES }, (_, index) => publish(`k${index}`, index));
    expect(full(many.slice(1), publish("x", 0))).toBeUndefined();
    expect(full(many, publish("x", 0))).toMatch(/Too much/);
    expect(full([], publish("x", 0, { body: { body: "y".repeat(1_000_001) } }))).toMatch(/Too much/);
  });
});
