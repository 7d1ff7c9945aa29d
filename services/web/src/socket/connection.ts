/** The one socket of this window: connected for as long as somebody is signed in, and its state for all to see. */
import { type Channel, Socket } from "phoenix";
import { authorised } from "@/api/client";
import { ApiError } from "@/api/errors";
import { Observable } from "@/api/observable";
import type { Session } from "@/api/session";
import { heartbeatAnswer, messageOf } from "./messages";
import { Pulse } from "./pulse";

export type ConnectionState = "connecting" | "live" | "offline";

const HEARTBEAT_MS = 15_000;
const MAX_PAUSE_MS = 8_000;

/** A page in the background is not reconnected by the client library; alerts need it connected all the same. */
const HIDDEN_PAUSE_MS = 5_000;

/** The code with which the server closes where the token counts no more: it has expired, or its session has ended. */
const TOKEN_ENDED = 4001;

/** How long a probe may take before the connection counts as lost. */
const PROBE_MS = 4_000;

export class Connection {
  readonly state = new Observable<ConnectionState>("connecting");
  /** Whether what is new reaches the gateway, as its answer to the last heartbeat says. */
  readonly fed = new Observable(true);
  /** Whether the server answers, known within three seconds while the page is shown. */
  readonly answering: Observable<boolean>;
  readonly #pulse = new Pulse((answered) => this.#socket.ping(answered));
  readonly #session: Session;
  readonly #socket: Socket;
  readonly #cleanup: (() => void)[] = [];
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #probe: ReturnType<typeof setTimeout> | undefined;
  #replacing: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(url: string, session: Session) {
    this.#session = session;
    this.answering = this.#pulse.answering;
    this.#socket = new Socket(url, {
      // The library asks for the token again at each attempt; its types do not know.
      authToken: session.accessToken.get as unknown as string,
      decode: (text, callback) => callback(messageOf(text)),
      heartbeatIntervalMs: HEARTBEAT_MS,
      reconnectAfterMs: (tries) => jittered(Math.min(100 * 2 ** Math.min(tries, 10), MAX_PAUSE_MS)),
      rejoinAfterMs: (tries) => jittered(Math.min(500 * 2 ** Math.min(tries, 10), 10_000)),
    });
    this.#socket.onOpen(() => {
      this.fed.set(true);
      this.state.set("live");
      this.#pulse.heard();
      this.#feelPulse();
    });
    this.#socket.onMessage((message) => {
      this.#pulse.heard();
      const live = heartbeatAnswer(message);
      if (live !== undefined) this.fed.set(live);
    });
    this.#socket.onClose((event: CloseEvent) => this.#lost(event.code));
    this.#socket.onError(() => this.#lost());
    this.#cleanup.push(session.ending.subscribe((ending) => this.#whileEnding(ending)));
    this.#listen(window, "online", () => this.#look());
    this.#listen(window, "offline", () => this.#look());
    this.#listen(document, "visibilitychange", () => {
      this.#feelPulse();
      this.#look();
    });
  }

  /** Connect; the token is made sure of before. */
  async start(): Promise<void> {
    await this.#session.token();
    if (!this.#closed) this.#connect();
  }

  #connect(): void {
    if (!this.#session.ending.get()) this.#socket.connect();
  }

  #whileEnding(ending: boolean): void {
    if (ending) {
      clearTimeout(this.#hiddenTimer);
      clearTimeout(this.#probe);
      this.#pulse.stop();
      this.#socket.disconnect();
    } else if (this.#session.state.get() === "signed-in") this.#connect();
  }

  channel(topic: string, params: () => object): Channel {
    return this.#socket.channel(topic, params);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#hiddenTimer);
    clearTimeout(this.#probe);
    clearTimeout(this.#replacing);
    this.#pulse.stop();
    for (const undo of this.#cleanup) undo();
    this.#socket.disconnect();
  }

  #lost(code?: number): void {
    if (this.#closed || this.#session.ending.get()) return;
    const wasLive = this.state.get() === "live";
    this.state.set("offline");
    this.#pulse.stop();
    if (code === TOKEN_ENDED) {
      // The library would connect again with the same token.
      this.#socket.disconnect();
      void this.#replaceToken();
      return;
    }
    // A refused token looks like any other failure: one that has ended meanwhile is replaced before the next attempt,
    // and a session that was ended elsewhere is found out by a call, whose refusal says so.
    if (wasLive) authorised(this.#session, new Request("/api/v1/me")).catch(() => undefined);
    else this.#session.token().catch(() => undefined);
    clearTimeout(this.#hiddenTimer);
    if (document.visibilityState === "hidden") {
      this.#hiddenTimer = setTimeout(() => this.#connect(), jittered(HIDDEN_PAUSE_MS));
    }
  }

  /** Connect with another token; where the session is over, the attempt to get one says so and nothing connects. */
  async #replaceToken(): Promise<void> {
    clearTimeout(this.#replacing);
    try {
      await this.#session.renew();
    } catch (error) {
      if (this.#closed || !(error instanceof ApiError && error.passes)) return;
      this.#replacing = setTimeout(() => void this.#replaceToken(), jittered(MAX_PAUSE_MS));
      return;
    }
    if (!this.#closed) this.#connect();
  }

  /** Only where somebody sees what comes of it: ten thousand open pages are a few looked at. */
  #feelPulse(): void {
    if (document.visibilityState === "visible" && this.#socket.isConnected()) this.#pulse.start();
    else this.#pulse.stop();
  }

  /** The network or the page changed: find out at once whether the connection still carries anything. */
  #look(): void {
    clearTimeout(this.#probe);
    if (this.#closed || this.#session.ending.get()) return;
    if (!this.#socket.isConnected()) {
      if (navigator.onLine) this.#connect();
      return;
    }
    this.#probe = setTimeout(() => this.#socket.disconnect(() => this.#connect()), PROBE_MS);
    this.#socket.ping(() => clearTimeout(this.#probe));
  }

  #listen(target: EventTarget, event: string, listener: () => void): void {
    target.addEventListener(event, listener);
    this.#cleanup.push(() => target.removeEventListener(event, listener));
  }
}

function jittered(milliseconds: number): number {
  return milliseconds * (0.5 + Math.random() / 2);
}
