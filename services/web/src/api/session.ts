/**
 * Who is signed in. The refresh token, which every use replaces, is in local storage, so that windows opened later are
 * signed in. One may be exchanged again while its successor is unused, so an answer that is lost, with the page that
 * waited for it or on its way, costs nothing; used after that, it ends the session. So windows exchange it one at a
 * time and as seldom as can be: they share the access token that came of it, and a reload goes on with the one it had.
 */
import { ApiError } from "./errors";
import { fetchInTime, read } from "./http";
import { exclusively } from "./locks";
import { Observable } from "./observable";
import { Windows } from "./windows";

const KEY = "notifyx.refresh_token";
const USER = "notifyx.user";
const HELD = "notifyx.access_token";
const ENDED = "notifyx.ended";
const CHANNEL = "notifyx.session";
const LOCK = "session";

const SESSION_ENDED = "Your session has ended; sign in again.";

/** How long a new window waits for another one to share its access token, where there is another one. */
const SHARED_WITHIN_MS = 150;

/** An access token is replaced this long before it ends; background windows run their timers a minute late. */
const RENEW_BEFORE_MS = 90_000;

/** A token that ends sooner than this is not used any more. */
const LEAST_LIFE_MS = 10_000;

/** How long the end of a session in another window may take. */
const ENDING_WITHIN_MS = 15_000;

export type SessionState = "unknown" | "signed-out" | "signed-in";

interface Tokens {
  readonly access_token: string;
  readonly expires_in: number;
  readonly refresh_token: string;
}

/** An access token as windows share it; `expiresAt` is epoch milliseconds. */
interface Access {
  readonly token: string;
  readonly expiresAt: number;
}

export class Session {
  readonly state = new Observable<SessionState>(localStorage.getItem(KEY) === null ? "signed-out" : "unknown");

  /** The access token of now, for who cannot wait; empty before the first. */
  readonly accessToken = new Observable<string>("");

  /** Why the last session ended, when it did so by itself. */
  readonly ended = new Observable<string>(endedBefore());

  /** Whether the session is being ended here or in another window: nothing connects with it meanwhile. */
  readonly ending = new Observable(false);

  #expiresAt = 0;
  #endingElsewhere: ReturnType<typeof setTimeout> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewing: Promise<string> | undefined;
  readonly #windows = new BroadcastChannel(CHANNEL);
  readonly #sharing = new Windows();

  constructor() {
    this.#windows.onmessage = (event: MessageEvent<Access | "ask" | "ending" | "ended">) => {
      if (event.data === "ending") this.#endsElsewhere();
      else if (event.data === "ended") this.#notEnding();
      else if (event.data !== "ask") this.#adopt(event.data);
      else if (this.#lives(LEAST_LIFE_MS)) this.#share();
    };
    this.#adopt(held());
    window.addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      const signedOut = this.state.get() === "signed-out";
      if (event.newValue !== null && signedOut) this.state.set("unknown");
      if (event.newValue === null && !signedOut) this.#forget(SESSION_ENDED);
    });
  }

  #lives(milliseconds: number): boolean {
    return this.#expiresAt - Date.now() > milliseconds;
  }

  #share(): void {
    this.#windows.postMessage({ token: this.accessToken.get(), expiresAt: this.#expiresAt } satisfies Access);
  }

  /** Throws {@link ApiError}. */
  async signIn(email: string, password: string): Promise<void> {
    const tokens = await exchange({ grant_type: "password", username: email, password });
    await exclusively(LOCK, async () => this.#take(tokens));
  }

  /** An access token that is good for a while. Throws {@link ApiError}: 401 when the session is over. */
  async token(): Promise<string> {
    return this.#lives(LEAST_LIFE_MS) ? this.accessToken.get() : this.renew();
  }

  /** Another access token than the one of now. Throws as {@link token}. */
  renew(): Promise<string> {
    this.#renewing ??= this.#renewOnce(this.accessToken.get()).finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewOnce(before: string): Promise<string> {
    if (before === "" && this.#sharing.othersHave()) await this.#ask();
    return exclusively(LOCK, async () => {
      // Another window may have been faster.
      if (this.accessToken.get() !== before && this.#lives(LEAST_LIFE_MS)) return this.accessToken.get();
      return this.#exchangeStored();
    });
  }

  /** Wait for another window's access token. */
  #ask(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(late);
        unsubscribe();
        resolve();
      };
      const late = setTimeout(done, SHARED_WITHIN_MS);
      const unsubscribe = this.accessToken.subscribe(done);
      this.#windows.postMessage("ask");
    });
  }

  /**
   * Do `work`, which may end the session: sockets are closed before, since the server closes those that are left, and
   * they would try again with a token that counts no more. Where the session goes on they connect after it.
   */
  async whileEnding<T>(work: () => Promise<T>): Promise<T> {
    this.#windows.postMessage("ending");
    this.ending.set(true);
    try {
      return await work();
    } finally {
      this.ending.set(false);
      this.#windows.postMessage("ended");
    }
  }

  #endsElsewhere(): void {
    clearTimeout(this.#endingElsewhere);
    // The other window may be closed before it says what became of it.
    this.#endingElsewhere = setTimeout(() => this.#notEnding(), ENDING_WITHIN_MS);
    this.ending.set(true);
  }

  #notEnding(): void {
    clearTimeout(this.#endingElsewhere);
    // What the browser says of its storage may come later than what the other window says.
    if (localStorage.getItem(KEY) === null && this.state.get() !== "signed-out") this.#forget(SESSION_ENDED);
    this.ending.set(false);
  }

  /** End this session, or with `everywhere` all of this user. Throws {@link ApiError} when `everywhere` failed. */
  async signOut(everywhere = false): Promise<void> {
    await this.whileEnding(() => this.#signOut(everywhere));
  }

  async #signOut(everywhere: boolean): Promise<void> {
    await exclusively(LOCK, async () => {
      const token = localStorage.getItem(KEY);
      if (token !== null) {
        try {
          await post("/api/v1/token/revoke", { token, ...(everywhere ? { everywhere: "true" } : {}) });
        } catch (error) {
          // Without a network this window still forgets the session; it ends by itself when it is not used.
          if (everywhere) throw error;
        }
      }
      this.#forget("");
    });
  }

  async #exchangeStored(): Promise<string> {
    const token = localStorage.getItem(KEY);
    if (token === null) {
      // Where the session has ended already, the reason stays: several requests may ask for a token after that.
      if (this.state.get() !== "signed-out") this.#forget("");
      throw over();
    }
    try {
      this.#take(await exchange({ grant_type: "refresh_token", refresh_token: token }));
    } catch (error) {
      if (error instanceof ApiError && !error.passes) {
        this.#forget(SESSION_ENDED);
        throw over();
      }
      throw error;
    }
    return this.accessToken.get();
  }

  #take(tokens: Tokens): void {
    localStorage.setItem(USER, subject(tokens.access_token));
    localStorage.setItem(KEY, tokens.refresh_token);
    this.#adopt({ token: tokens.access_token, expiresAt: Date.now() + tokens.expires_in * 1000 });
    this.#share();
  }

  /** Go on with an access token, of this window's or another's exchange; one that is no better changes nothing. */
  #adopt(access: Access | undefined): void {
    if (access === undefined || access.expiresAt <= this.#expiresAt || localStorage.getItem(KEY) === null) return;
    sessionStorage.setItem(HELD, JSON.stringify(access));
    sessionStorage.removeItem(ENDED);
    const before = this.accessToken.get();
    if (before !== "" && subject(before) !== subject(access.token)) {
      // Somebody else signed in in another window: nothing of the first one may stay in this one.
      location.reload();
      return;
    }
    this.#expiresAt = access.expiresAt;
    this.#sharing.has(access.expiresAt);
    this.accessToken.set(access.token);
    this.ended.set("");
    this.state.set("signed-in");
    const life = access.expiresAt - Date.now();
    this.#renewIn(Math.max(life - RENEW_BEFORE_MS * (1 + Math.random() * 0.3), life / 2));
  }

  #renewIn(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.renew().catch((error: unknown) => {
        if (error instanceof ApiError && error.passes) {
          this.#renewIn(Math.max(5_000, 1_000 * (error.retryAfter ?? 0)) * (1 + Math.random()));
        }
      });
    }, milliseconds);
  }

  #forget(why: string): void {
    clearTimeout(this.#timer);
    localStorage.removeItem(KEY);
    sessionStorage.removeItem(HELD);
    if (why === "") sessionStorage.removeItem(ENDED);
    else sessionStorage.setItem(ENDED, why);
    this.#expiresAt = 0;
    this.#sharing.has(0);
    this.accessToken.set("");
    this.ended.set(why);
    this.state.set("signed-out");
  }
}

/** Why the session of this window ended, where a reload came after that, or while another window ended it. */
function endedBefore(): string {
  if (localStorage.getItem(KEY) !== null) return "";
  return sessionStorage.getItem(ENDED) ?? (sessionStorage.getItem(HELD) === null ? "" : SESSION_ENDED);
}

/** The access token this window had before it was reloaded, while it is good. */
function held(): Access | undefined {
  try {
    const access = JSON.parse(sessionStorage.getItem(HELD) ?? "null") as Access | null;
    if (access === null || access.expiresAt - Date.now() < LEAST_LIFE_MS) return undefined;
    return subject(access.token) === localStorage.getItem(USER) ? access : undefined;
  } catch {
    return undefined;
  }
}

/** Whom an access token (a JWT) is for. */
function subject(token: string): string {
  const payload = token.split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/") ?? "";
  return String((JSON.parse(atob(payload)) as { sub?: unknown }).sub);
}

function over(): ApiError {
  return new ApiError(401, "signed_out", "You are signed out.");
}

async function exchange(fields: Record<string, string>): Promise<Tokens> {
  return (await post("/api/v1/token", fields)) as Tokens;
}

async function post(path: string, fields: Record<string, string>): Promise<unknown> {
  const body = new URLSearchParams(fields);
  return read(await fetchInTime(new Request(path, { method: "POST", body })));
}
