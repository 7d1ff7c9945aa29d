/** The inbox followed live: its pages, and what the subscribed topics' feeds bring. */
import type { Api } from "@/api/client";
import { Observable } from "@/api/observable";
import { inboxPage } from "@/api/pages";
import type { InboxNotification, Notification } from "@/api/types";
import type { Ack } from "./acks";
import { arrived, EMPTY, type Inbox, older, reaches, refreshed, without, withoutRemoved } from "./inbox";

const PAGE = 50;

/** Pages read from the top until they meet what is held; past it everything is read anew. */
const MAX_REFRESH_PAGES = 4;
const GATHER_MS = 250;

export interface InboxEvents {
  acked(topic: string, ack: Ack): void;
  /** `asked`: when they were asked for (`performance.now()`). */
  unread(counts: Readonly<Record<string, number>>, expired: Readonly<Record<string, number>>, asked: number): void;
}

export class InboxFeed {
  readonly inbox = new Observable<Inbox>(EMPTY);
  readonly #api: Api;
  readonly #events: InboxEvents;
  readonly #unreadOnly: boolean;
  #loading: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(api: Api, events: InboxEvents, unreadOnly: boolean) {
    this.#api = api;
    this.#events = events;
    this.#unreadOnly = unreadOnly;
  }

  add(items: readonly Notification[]): void {
    if (this.inbox.get().next !== undefined) this.inbox.update((inbox) => arrived(inbox, items));
  }

  remove(topics: ReadonlySet<string>): void {
    this.inbox.update((inbox) => without(inbox, topics));
  }

  /** Retention removed everything of `topic` before `firstSeq`. */
  removed(topic: string, firstSeq: number): void {
    this.inbox.update((inbox) => withoutRemoved(inbox, topic, firstSeq));
  }

  /** Load the next older page, or the first. Throws {@link ApiError}. */
  loadOlder(): Promise<void> {
    this.#loading ??= this.#loadOlder().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /** Something may have come unseen: look at the top again, soon, if anything is held. */
  refreshSoon(): void {
    if (this.inbox.get().next === undefined && this.#loading === undefined) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#refresh().catch(() => undefined);
    }, GATHER_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  async #loadOlder(): Promise<void> {
    const next = this.inbox.get().next;
    if (next === null) return;
    const page = await this.#page(next);
    if (this.inbox.get().next !== next) return;
    this.inbox.update((inbox) => older(inbox, page.items, page.next));
  }

  async #refresh(): Promise<void> {
    const items: InboxNotification[] = [];
    let next: string | null | undefined;
    for (let pages = 0; pages < MAX_REFRESH_PAGES && next !== null; pages += 1) {
      const page = await this.#page(next);
      items.push(...page.items);
      next = page.next;
      if (reaches(this.inbox.get(), page.items)) {
        this.inbox.update((inbox) => refreshed(inbox, items, page.next, true));
        return;
      }
    }
    this.inbox.update((inbox) => refreshed(inbox, items, next ?? null, false));
  }

  async #page(after: string | null | undefined) {
    const query = {
      limit: PAGE,
      ...(this.#unreadOnly ? { unread: "true" as const } : {}),
      ...(after === undefined || after === null ? {} : { after }),
    };
    const asked = performance.now();
    const page = await inboxPage(this.#api, query);
    for (const item of page.items) if (item.acked) this.#events.acked(item.topic, { seqs: [item.seq] });
    this.#events.unread(page.unread, page.expired, asked);
    return page;
  }
}
