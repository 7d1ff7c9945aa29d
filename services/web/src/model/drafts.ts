/**
 * What somebody has begun to write or to set, kept by this window until it is sent, saved or thrown away: a closed form,
 * another page and a reload lose nothing.
 */

const PREFIX = "notifyx.draft.";

export class Drafts {
  readonly #storage: Storage;
  readonly #prefix: string;

  /** Those of one user: others who sign in here do not see them. */
  constructor(storage: Storage, user: string) {
    this.#storage = storage;
    this.#prefix = `${PREFIX}${user}.`;
  }

  /** What was kept under `name`, beside the fields of `empty` that it does not have. */
  read<T extends object>(name: string, empty: T): T {
    try {
      return { ...empty, ...JSON.parse(this.#storage.getItem(this.#prefix + name) ?? "{}") };
    } catch {
      return empty;
    }
  }

  /** Keep `draft` under `name`; only what differs from `empty`, and nothing where nothing does. */
  keep<T extends object>(name: string, draft: T, empty: T): void {
    const changed = Object.entries(draft).filter(
      ([key, value]) => JSON.stringify(value) !== JSON.stringify(empty[key as keyof T]),
    );
    try {
      if (changed.length === 0) this.#storage.removeItem(this.#prefix + name);
      else this.#storage.setItem(this.#prefix + name, JSON.stringify(Object.fromEntries(changed)));
    } catch {
      // The storage is full: what is written stays in its form, as long as that is open.
    }
  }

  discard(name: string): void {
    this.#storage.removeItem(this.#prefix + name);
  }
}
