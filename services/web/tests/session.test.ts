import { afterEach, expect, it, vi } from "vitest";

const KEY = "notifyx.refresh_token";
const HELD = "notifyx.access_token";
const ENDED = "Your session has ended; sign in again.";

/** A window's end of a channel: what it says, and to whom. */
class Channel {
  static all = new Set<Channel>();
  onmessage: ((event: { data: unknown }) => void) | undefined;
  constructor() {
    Channel.all.add(this);
  }
  postMessage(data: unknown) {
    for (const other of Channel.all) if (other !== this) queueMicrotask(() => other.onmessage?.({ data }));
  }
}

/** What the browser stores, whose keys are its own properties. */
class Stored {
  constructor(items: Record<string, string>) {
    Object.assign(this, items);
    const methods: Record<string, (key: string, value: string) => unknown> = {
      getItem: (key) => Object.getOwnPropertyDescriptor(this, key)?.value ?? null,
      setItem: (key, value) => void Object.assign(this, { [key]: value }),
      removeItem: (key) => Reflect.deleteProperty(this, key),
    };
    for (const [name, value] of Object.entries(methods)) Object.defineProperty(this, name, { value });
  }
}

/** A window as it is loaded: what the browser stores, and what this window does. */
async function loaded(local: Stored, own: Stored) {
  vi.stubGlobal("localStorage", local);
  vi.stubGlobal("sessionStorage", own);
  vi.stubGlobal("BroadcastChannel", class extends Channel {});
  vi.stubGlobal("navigator", { locks: { request: (_: string, work: () => Promise<unknown>) => work() } });
  const window = new EventTarget();
  vi.stubGlobal("window", window);
  const { Session } = await import("@/api/session");
  return { session: new Session(), window };
}

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  Channel.all.clear();
});

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

it("nothing connects while a session is ended, and it may again where that failed", async () => {
  const { session } = await loaded(new Stored({ [KEY]: "r" }), new Stored({}));
  const said: unknown[] = [];
  session.ending.subscribe((ending) => said.push([ending, session.state.get()]));
  await expect(session.signOut(true)).rejects.toThrow();
  expect(said).toEqual([
    [true, "unknown"],
    [false, "unknown"],
  ]);
  await session.signOut();
  expect(said.slice(2), "signed out before anything may connect").toEqual([
    [true, "unknown"],
    [false, "signed-out"],
  ]);
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

const TOKEN = `x.${btoa(JSON.stringify({ sub: "ann" }))}.y`;

/** An auth that exchanges refresh tokens; the calls of it. */
function exchanging() {
  const tokens = { access_token: TOKEN, expires_in: 600, refresh_token: "next" };
  const exchange = vi.fn(async () => new Response(JSON.stringify(tokens)));
  vi.stubGlobal("fetch", exchange);
  vi.stubGlobal(
    "Request",
    class extends Request {
      constructor(path: string, options: RequestInit) {
        super(`http://127.0.0.1${path}`, options);
      }
    },
  );
  return exchange;
}

/** How many windows are listed that have a token. */
const windowsIn = (local: Stored) => Object.keys(local).filter((key) => key.startsWith("notifyx.window.")).length;

it("a window that is alone waits for no other one's token", async () => {
  vi.useFakeTimers();
  const exchange = exchanging();
  const { session } = await loaded(new Stored({ [KEY]: "r" }), new Stored({}));
  const token = session.token();
  await vi.advanceTimersByTimeAsync(0);
  expect(exchange).toHaveBeenCalledOnce();
  expect(await token).toBe(TOKEN);
});

it("a new window goes on with another one's token as soon as it is told", async () => {
  vi.useFakeTimers();
  const exchange = exchanging();
  const local = new Stored({ [KEY]: "r" });
  const { session: first, window } = await loaded(local, new Stored({}));
  await first.token();
  const { session } = await loaded(local, new Stored({}));
  const token = session.token();
  await vi.advanceTimersByTimeAsync(0);
  expect(session.state.get()).toBe("signed-in");
  expect(await token).toBe(TOKEN);
  expect(exchange, "by the first one").toHaveBeenCalledOnce();
  expect(windowsIn(local)).toBe(2);
  window.dispatchEvent(new Event("pagehide"));
  expect(windowsIn(local)).toBe(1);
  window.dispatchEvent(new Event("pageshow"));
  expect(windowsIn(local), "it came back").toBe(2);
  await first.signOut();
  expect(windowsIn(local), "the other one is told").toBe(0);
});

it("a new window waits for a moment for one that says nothing, and not for one that has ended", async () => {
  vi.useFakeTimers();
  const exchange = exchanging();
  const crashed = { "notifyx.window.a": String(Date.now() + 1_000), "notifyx.window.b": String(Date.now()) };
  const local = new Stored({ [KEY]: "r", ...crashed });
  const token = (await loaded(local, new Stored({}))).session.token();
  await vi.advanceTimersByTimeAsync(149);
  expect([exchange.mock.calls.length, windowsIn(local)]).toEqual([0, 1]);
  await vi.advanceTimersByTimeAsync(1);
  expect(await token).toBe(TOKEN);
});
