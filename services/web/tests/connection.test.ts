import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ApiError } from "@/api/errors";
import { Observable } from "@/api/observable";
import type { Session } from "@/api/session";

/** The library's socket: what it was asked to do, in order. */
class FakeSocket {
  static newest: FakeSocket;
  did: string[] = [];
  opened = () => {};
  closed: (event: { code: number }) => void = () => {};
  constructor() {
    FakeSocket.newest = this;
  }
  onOpen(callback: () => void) {
    this.opened = callback;
  }
  onClose(callback: (event: { code: number }) => void) {
    this.closed = callback;
  }
  onMessage() {}
  onError() {}
  ping() {
    return true;
  }
  isConnected() {
    return false;
  }
  connect() {
    this.did.push("connect");
  }
  disconnect() {
    this.did.push("disconnect");
  }
}

vi.mock("phoenix", () => ({ Socket: FakeSocket }));

const OVER = new ApiError(401, "signed_out", "You are signed out.");
const AWAY = new ApiError(503, "unavailable", "Away.");

/** A connection that is live, and its session, whose renewals end one after the other as `renewals` say. */
async function live(...renewals: (ApiError | undefined)[]) {
  const session = {
    accessToken: new Observable("old"),
    ending: new Observable(false),
    state: new Observable("signed-in"),
    token: () => Promise.resolve("old"),
    renew: vi.fn(() => {
      const error = renewals.shift();
      return error === undefined ? Promise.resolve("new") : Promise.reject(error);
    }),
  };
  const { Connection } = await import("@/socket/connection");
  const connection = new Connection("/socket", session as unknown as Session);
  await connection.start();
  const socket = FakeSocket.newest;
  socket.opened();
  socket.did = [];
  return { connection, session, socket };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", new EventTarget());
  vi.stubGlobal("document", Object.assign(new EventTarget(), { visibilityState: "hidden" }));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("does not connect again with a token of a session that has ended", async () => {
  const { connection, session, socket } = await live(OVER);
  socket.closed({ code: 4001 });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(socket.did).toEqual(["disconnect"]);
  expect([session.renew.mock.calls.length, connection.state.get()]).toEqual([1, "offline"]);
});

it("connects with another token where the old one has only expired, once it gets one", async () => {
  const { session, socket } = await live(AWAY, undefined);
  socket.closed({ code: 4001 });
  await vi.advanceTimersByTimeAsync(0);
  expect(socket.did, "auth is away").toEqual(["disconnect"]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([socket.did, session.renew.mock.calls.length]).toEqual([["disconnect", "connect"], 2]);
});

it("asks for no token any more once it is closed", async () => {
  const { connection, session, socket } = await live(AWAY, undefined);
  socket.closed({ code: 4001 });
  await vi.advanceTimersByTimeAsync(0);
  connection.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect([socket.did, session.renew.mock.calls.length]).toEqual([["disconnect", "disconnect"], 1]);
});
