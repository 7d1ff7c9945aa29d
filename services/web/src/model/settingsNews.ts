/** Which version of its settings each topic has, as channels are told, and when the page reads them again. */

/** Every window that follows a topic is told of a change in the same moment: each reads it at its own, within this time. */
export const WITHIN_MS = 1_500;

/** `changed`: it is another version than the one told before. An empty version is not known, and always another. */
export type Notify = (topic: string, version: string, changed: boolean) => void;

export class SettingsNews {
  readonly #notify: Notify;
  readonly #told = new Map<string, string>();
  readonly #newest = new Map<string, string>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(notify: Notify) {
    this.#notify = notify;
  }

  /** The topic has this version: it is told soon, of several the last alone. */
  heard(topic: string, version: string): void {
    this.#newest.set(topic, version);
    if (this.#timers.has(topic)) return;
    this.#timers.set(
      topic,
      setTimeout(() => this.#due(topic), Math.random() * WITHIN_MS),
    );
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #due(topic: string): void {
    this.#timers.delete(topic);
    const version = this.#newest.get(topic) ?? "";
    const before = this.#told.get(topic);
    this.#told.set(topic, version);
    this.#notify(topic, version, before !== undefined && (before !== version || version === ""));
  }
}
