/**
 * Which windows of this browser have an access token to share, as local storage has it: a new window learns at once
 * whether it is worth asking. A window that crashed stays listed until its token ends, which costs a wait, and one that
 * is missing costs an exchange.
 */
import { randomKey } from "./locks";

const PREFIX = "notifyx.window.";

export class Windows {
  readonly #own = `${PREFIX}${randomKey()}`;
  #until = 0;

  constructor() {
    window.addEventListener("pagehide", () => localStorage.removeItem(this.#own));
    window.addEventListener("pageshow", () => this.#list());
  }

  /** This window has a token until then, in epoch milliseconds; 0: it has none. */
  has(until: number): void {
    this.#until = until;
    this.#list();
  }

  /** Whether another window has a token. */
  othersHave(): boolean {
    const others = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX) && key !== this.#own);
    const [alive, ended] = [[] as string[], [] as string[]];
    for (const key of others) (Number(localStorage.getItem(key)) > Date.now() ? alive : ended).push(key);
    for (const key of ended) localStorage.removeItem(key);
    return alive.length > 0;
  }

  #list(): void {
    if (this.#until > Date.now()) localStorage.setItem(this.#own, String(this.#until));
    else localStorage.removeItem(this.#own);
  }
}
