/**
 * Sends the outbox of one user: kept in local storage, an entry a key, so that windows add and remove without losing
 * each other's; one window at a time sends.
 */
import type { Api } from "@/api/client";
import { ApiError, NO_ANSWER, SLOW_MS } from "@/api/errors";
import { pauseAfter } from "@/api/http";
import { exclusively, randomKey } from "@/api/locks";
import { Observable } from "@/api/observable";
import type { NewNotification } from "@/api/types";
import type { Ack, Unack } from "./acks";
import { afterFailure, beforeTry, type Entry, full, nextToSend, ordered, requestOf, whyWaiting } from "./outbox";

/** `problem`: why the last try failed, for as long as it does; or that the server takes long to answer. */
export interface Sending {
  readonly entries: readonly Entry[];
  readonly problem: string;
}

export class Outbox {
  readonly state: Observable<Sending>;
  readonly #api: Api;
  readonly #prefix: string;
  readonly #user: string;
  readonly #notTakenBack: (topic: string, error: unknown) => void;
  #draining = false;
  #wake: (() => void) | undefined;
  #closed = false;

  /** `notTakenBack`: the server did not take acknowledgements in a topic back. */
  constructor(api: Api, user: string, notTakenBack: (topic: string, error: unknown) => void) {
    this.#api = api;
    this.#notTakenBack = notTakenBack;
    this.#user = user;
    this.#prefix = `notifyx.outbox.${user}.`;
    this.state = new Observable<Sending>({ entries: this.#read(), problem: "" });
    window.addEventListener("storage", this.#changedElsewhere);
    window.addEventListener("online", this.#tryNow);
    this.#tryNow();
  }

  /** Both take the JSON of the data as it was written. */
  publish(topic: string, body: NewNotification, data?: string): void {
    this.#add({ kind: "publish", target: topic, body, data, key: randomKey(), at: Date.now() });
  }

  send(person: string, body: NewNotification, data?: string): void {
    this.#add({ kind: "send", target: person, body, data, key: randomKey(), at: Date.now() });
  }

  acknowledge(topic: string, body: Ack): void {
    this.#add({ kind: "ack", target: topic, body, key: randomKey(), at: Date.now() });
  }

  unacknowledge(topic: string, body: Unack): void {
    this.#add({ kind: "unack", target: topic, body, key: randomKey(), at: Date.now() });
  }

  /** Try an entry that has a problem again. */
  retry(key: string): void {
    const entry = this.state.get().entries.find((one) => one.key === key);
    if (entry === undefined) return;
    const { problem: _, triedAt: __, ...again } = entry;
    this.#write(again as Entry);
    this.#tryNow();
  }

  discard(key: string): void {
    localStorage.removeItem(this.#prefix + key);
    this.#changed();
  }

  close(): void {
    this.#closed = true;
    window.removeEventListener("storage", this.#changedElsewhere);
    window.removeEventListener("online", this.#tryNow);
    this.#wake?.();
  }

  /** Send what waits, without waiting out the pause after a failure: the connection is back. */
  nudge(): void {
    this.#tryNow();
  }

  #add(entry: Entry): void {
    const problem = full(this.state.get().entries, entry);
    if (problem !== undefined) throw new ApiError(0, "outbox_full", problem);
    this.#write(entry);
    this.#tryNow();
  }

  #tryNow = (): void => {
    this.#wake?.();
    if (this.#draining || nextToSend(this.state.get().entries) === undefined) return;
    this.#draining = true;
    void exclusively(`outbox.${this.#user}`, () => this.#drain()).finally(() => {
      this.#draining = false;
      // One may have been added between the last look and the end of the turn.
      if (!this.#closed && nextToSend(this.state.get().entries) !== undefined) this.#tryNow();
    });
  };

  async #drain(): Promise<void> {
    let failures = 0;
    while (!this.#closed) {
      this.#changed();
      const waiting = nextToSend(this.state.get().entries);
      if (waiting === undefined) return;
      const entry = beforeTry(waiting, Date.now());
      this.#write(entry);
      if (entry.problem !== undefined) continue;
      const slow = setTimeout(() => this.#say(this.state.get().problem || NO_ANSWER), SLOW_MS);
      try {
        await deliver(this.#api, entry).finally(() => clearTimeout(slow));
        failures = 0;
        this.discard(entry.key);
        this.#say("");
      } catch (error) {
        const after = afterFailure(entry, error);
        if (after === "done" || after.problem !== undefined) this.#say("");
        if (after === "done") {
          this.discard(entry.key);
          if (entry.kind === "unack") this.#notTakenBack(entry.target, error);
        } else if (after.problem !== undefined) this.#write(after);
        else if (error instanceof ApiError) {
          failures += 1;
          this.#say(whyWaiting(error));
          await this.#pause(pauseAfter(failures, error.retryAfter, Math.random()));
        }
      }
    }
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #write(entry: Entry): void {
    localStorage.setItem(this.#prefix + entry.key, JSON.stringify(entry));
    this.#changed();
  }

  #changedElsewhere = (event: StorageEvent): void => {
    if (event.key?.startsWith(this.#prefix)) {
      this.#changed();
      this.#tryNow();
    }
  };

  #changed(): void {
    this.state.update((state) => ({ ...state, entries: this.#read() }));
  }

  #say(problem: string): void {
    if (this.state.get().problem !== problem) this.state.update((state) => ({ ...state, problem }));
  }

  #read(): Entry[] {
    const entries: Entry[] = [];
    for (let index = 0; index < localStorage.length; index += 1) {
      const name = localStorage.key(index);
      if (!name?.startsWith(this.#prefix)) continue;
      try {
        entries.push(JSON.parse(localStorage.getItem(name) ?? "") as Entry);
      } catch {
        localStorage.removeItem(name);
      }
    }
    return ordered(entries);
  }
}

async function deliver(api: Api, entry: Entry): Promise<void> {
  const header = { "Idempotency-Key": entry.key };
  const { target } = entry;
  if (entry.kind === "publish") {
    const params = { path: { name: target }, header };
    await api.POST("/api/v1/topics/{name}/notifications", {
      params,
      body: entry.body,
      bodySerializer: () => requestOf(entry),
    });
  } else if (entry.kind === "send") {
    await api.POST("/api/v1/users/{who}/notifications", {
      params: { path: { who: target }, header },
      body: entry.body,
      bodySerializer: () => requestOf(entry),
    });
  } else if (entry.kind === "unack") {
    const body = "seqs" in entry.body ? { seqs: [...entry.body.seqs] } : { ...entry.body, keep: [...entry.body.keep] };
    await api.POST("/api/v1/topics/{name}/unacks", { params: { path: { name: target } }, body });
  } else {
    const { up_to, seqs, revision } = entry.body;
    const what = up_to === undefined ? { seqs: [...(seqs ?? [])] } : { up_to };
    const body = revision === undefined ? what : { ...what, revision };
    await api.POST("/api/v1/topics/{name}/acks", { params: { path: { name: target } }, body });
  }
}
