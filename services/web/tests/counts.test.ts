import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Api } from "@/api/client";
import { Observable } from "@/api/observable";
import type { Session } from "@/api/session";
import type { Subscription, User } from "@/api/types";
import { Live } from "@/model/live";
import { countOf, total } from "@/model/unread";

const channel = {
  on: () => 0,
  onError: () => 0,
  push: () => channel,
  leave: () => channel,
  join: () => channel,
  receive: () => channel,
};

vi.mock("@/socket/connection", () => ({
  Connection: class {
    state = new Observable("live");
    channel = () => channel;
    start = async () => undefined;
    close = () => undefined;
  },
}));

const storage = {
  length: 0,
  getItem: () => null,
  setItem: () => undefined,
  removeItem: () => undefined,
  key: () => null,
};

const subscription = (topic: string, unread: number) =>
  ({ topic, unread, expired: 0, acked_up_to: 0, acked_seqs: [], revision: 0 }) as unknown as Subscription;

describe("the counts of a window", () => {
  let live: Live;

  beforeEach(() => {
    const window = new EventTarget();
    vi.stubGlobal("window", window);
    vi.stubGlobal("document", new EventTarget());
    vi.stubGlobal("navigator", {});
    vi.stubGlobal("localStorage", storage);
    vi.stubGlobal("sessionStorage", storage);
    const api = { GET: async () => new Promise(() => undefined) } as unknown as Api;
    const session = { accessToken: new Observable("") } as unknown as Session;
    const wants = {
      subscriptionsChanged: () => undefined,
      accountChanged: () => undefined,
      settings: () => undefined,
      topicsChanged: () => undefined,
      arrivals: () => undefined,
      refused: () => undefined,
    };
    live = new Live({ id: "ada" } as User, "ws://localhost/socket", session, api, wants);
  });
  afterEach(() => {
    live.close();
    vi.unstubAllGlobals();
  });

  it("has what a join told while the subscriptions were on their way", () => {
    const asked = performance.now();
    live.setUnread("orders", 8);
    live.setUnread("others", 5);
    live.subscriptions([subscription("orders", 9)], asked - 1);
    expect(countOf(live.unread.get(), "orders")).toBe(8);
    expect(total(live.unread.get())).toBe(8);
  });

  it("has none of a topic without a subscription, until there is one", () => {
    live.subscriptions([subscription("orders", 1)], performance.now());
    live.setUnread("others", 5);
    expect(total(live.unread.get())).toBe(1);
    live.subscriptions([subscription("orders", 1), subscription("others", 6)], performance.now() - 60_000);
    expect(countOf(live.unread.get(), "others")).toBe(6);
  });
});
