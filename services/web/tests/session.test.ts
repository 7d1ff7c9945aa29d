import { afterEach, expect, it, vi } from "vitest";

const KEY = "notifyx.refresh_token";
const HELD = "notifyx.access_token";
const ENDED = "Your session has ended; sign in again.";

class Stored {
  readonly #items: Map<string, string>;
  constructor(items: Record<string, string>) {
    this.#items = new Map(Object.entries(items));
  }
  getItem = (key: string) => this.#items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.#items.set(key, value);
  removeItem = (key: string) => void this.#items.delete(key);
}

/** A window as it is loaded: what the browser stores, and what this window does. */
async function loaded(local: Stored, own: Stored) {
  vi.stubGlobal("localStorage", local);
  vi.stubGlobal("sessionStorage", own);
  vi.stubGlobal(
    "BroadcastChannel",
    class {
      postMessage() {}
    },
  );
  vi.stubGlobal("navigator", { locks: { request: (_: string, work: () => Promise<unknown>) => work() } });
  const window = new EventTarget();
  vi.stubGlobal("window", window);
  const { Session } = await import("@/api/session");
  return { session: new Session(), window };
}

afterEach(() => vi.unstubAllGlobals());

it("a window says that its session has ended, also once it is reloaded", async () => {
  const own = new Stored({});
  const { session, window } = await loaded(new Stored({ [KEY]: "r" }), own);
  window.dispatchEvent(Object.assign(new Event("storage"), { key: KEY, newValue: null }));
  expect([session.state.get(), session.ended.get()]).toEqual(["signed-out", ENDED]);
  await expect(session.token()).rejects.toThrow("You are signed out.");
  expect(session.ended.get(), "also where a request came late").toBe(ENDED);
  expect((await loaded(new Stored({}), own)).session.ended.get()).toBe(ENDED);
  // It was not there to hear of it.
  expect((await loaded(new Stored({}), new Stored({ [HELD]: "{}" }))).session.ended.get()).toBe(ENDED);
});

it("a window says nothing where nobody was signed in, or who is signs out here", async () => {
  expect((await loaded(new Stored({}), new Stored({}))).session.ended.get()).toBe("");
  const own = new Stored({ [HELD]: "{}", "notifyx.ended": ENDED });
  const local = new Stored({});
  const { session } = await loaded(local, own);
  await session.signOut();
  expect(session.ended.get()).toBe("");
  expect((await loaded(local, own)).session.ended.get()).toBe("");
});
