/** A clock of this machine that differs by less is right: answers say whole seconds, and are a while on their way. */
const DIFFERENCE_MS = 60_000;

/**
 * The time of day as the server has it: it gives notifications their times, and keys their end. Where the clock of this
 * machine is wrong, the Date of the newest answer says by how much.
 */
export class Clock {
  #behind = 0;
  readonly #own: () => number;

  constructor(own: () => number = Date.now) {
    this.#own = own;
  }

  /** Learn from the Date of an answer that has just come; without one, nothing changes. */
  heard(date: string | null): void {
    const difference = Date.parse(date ?? "") - this.#own();
    if (!Number.isNaN(difference)) this.#behind = Math.abs(difference) < DIFFERENCE_MS ? 0 : difference;
  }

  /** Epoch milliseconds. */
  now(): number {
    return this.#own() + this.#behind;
  }
}
