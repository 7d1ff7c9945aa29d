/**
 * Whether the server answers at present, found out within three seconds: while the pulse runs, a silent connection is
 * pinged, and whatever comes is an answer. Time is counted in ticks, which a page gets only while it runs itself: a page
 * that was suspended blames nobody for it.
 */
import { Observable } from "@/api/observable";

const TICK_MS = 250;
/** After so much silence, the server is asked for an answer. */
const SILENCE_MS = 1_250;
/** For how long the server may owe an answer; longer where its answers take long, as in a slow network. */
const PATIENCE_MS = 1_250;
const MAX_PATIENCE_MS = 5_000;

/** For how long an answer may be owed where answers usually take `usual`; both in milliseconds. */
export function patience(usual: number): number {
  return Math.min(MAX_PATIENCE_MS, Math.max(PATIENCE_MS, 4 * usual));
}

export class Pulse {
  readonly answering = new Observable(true);
  readonly #ping: (answered: (took: number) => void) => boolean;
  #timer: ReturnType<typeof setInterval> | undefined;
  #silent = 0;
  #owed: number | undefined;
  #usual = 0;

  /** `ping` sends a ping, unless it cannot (false), and calls back with the milliseconds that its answer took. */
  constructor(ping: (answered: (took: number) => void) => boolean) {
    this.#ping = ping;
  }

  /** Begin with a ping: what is known may be old. */
  start(): void {
    this.stop();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#ask();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#owed = undefined;
  }

  /** Something came from the server. */
  heard(): void {
    this.#silent = 0;
    this.#owed = undefined;
    this.answering.set(true);
  }

  #tick(): void {
    if (this.#owed === undefined) {
      this.#silent += TICK_MS;
      if (this.#silent >= SILENCE_MS) this.#ask();
    } else {
      this.#owed += TICK_MS;
      if (this.#owed >= patience(this.#usual)) this.answering.set(false);
    }
  }

  #ask(): void {
    const sent = this.#ping((took) => {
      this.#usual = 0.8 * this.#usual + 0.2 * Math.min(took, MAX_PATIENCE_MS / 4);
    });
    if (sent) this.#owed = 0;
  }
}
