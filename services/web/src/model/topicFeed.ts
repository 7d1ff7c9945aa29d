/** One topic followed live: its channel, its feed, and the pages of its log that somebody scrolled to. */
import type { Channel } from "phoenix";
import { type Api, data } from "@/api/client";
import { Observable } from "@/api/observable";
import { historyPage } from "@/api/pages";
import type { AckState, Notification } from "@/api/types";
import { Batcher } from "@/socket/batcher";
import type { Connection } from "@/socket/connection";
import type { AckedPush, JoinReply, MissingPush, Refusal, TopicChangedPush } from "@/socket/messages";
import type { Ack } from "./acks";
import { begun, EMPTY, type Feed, nextBefore, older, pushedAll, withoutRemoved } from "./feed";

const PAGE = 100;
const GATHER_MS = 40;

/** What a feed tells of: the rest of the page lives from it. */
export interface FeedEvents {
  /** New ones, in order; `live` is false for those that a rejoin caught up with. */
  arrived(topic: string, items: readonly Notification[], live: boolean): void;
  acked(topic: string, ack: Ack): void;
  setUnread(topic: string, unread: number, expired: number | undefined): void;
  /** Of what came while this window was away, `missing` are gone for good; the rest arrives, not live. */
  caughtUp(topic: string, missing: number, restored: boolean): void;
  /** Retention removed everything before `firstSeq`. */
  removed(topic: string, firstSeq: number): void;
  /** Joined without a position: something may have come before. */
  began(topic: string): void;
  /** The settings of the topic have this `version`; empty where the server does not know it. */
  settings(topic: string, version: string): void;
  gone(topic: string): void;
}

export interface FeedStatus {
  readonly joined: boolean;
  /** Why it cannot be followed. */
  readonly refused: string;
  readonly deleted: boolean;
  /** Whether the user may no longer read it, or it is gone. */
  readonly lost: boolean;
}

const UNREADABLE = ["topic_not_found", "not_a_reader"];

export class TopicFeed {
  readonly feed = new Observable<Feed>(EMPTY);
  readonly status = new Observable<FeedStatus>({ joined: false, refused: "", deleted: false, lost: false });
  readonly channel: Channel;

  readonly #api: Api;
  readonly #events: FeedEvents;
  readonly #pushes: Batcher<Notification>;
  #since: number | undefined;
  #catchUpTo = 0;
  #loading: Promise<void> | undefined;

  constructor(
    readonly topic: string,
    channelName: string,
    connection: Connection,
    api: Api,
    events: FeedEvents,
  ) {
    this.#api = api;
    this.#events = events;
    this.#pushes = new Batcher(GATHER_MS, (items) => this.#take(items));
    this.channel = connection.channel(channelName, () => this.#joinParams());
    this.channel.on("notification", (item: Notification) => this.#pushes.add(item));
    this.channel.on("acked", (push: AckedPush) => {
      events.acked(topic, push);
      events.setUnread(topic, push.unread, push.expired);
    });
    this.channel.on("missing", ({ missing }: MissingPush) => events.caughtUp(topic, missing, false));
    this.channel.on("topic_changed", ({ version }: TopicChangedPush) => events.settings(topic, version));
    this.channel.on("topic_deleted", () => {
      this.status.set({ joined: false, refused: "", deleted: true, lost: false });
      events.gone(topic);
    });
    this.channel.onError(() => this.status.update((status) => ({ ...status, joined: false })));
    this.channel
      .join()
      .receive("ok", (reply: JoinReply) => this.#joined(reply))
      .receive("error", (refusal: Refusal) => {
        const refused = refusal.detail ?? refusal.reason ?? "This topic cannot be followed.";
        const lost = UNREADABLE.includes(refusal.code ?? "");
        this.status.set({ joined: false, refused, deleted: false, lost });
      });
  }

  leave(): void {
    this.#pushes.clear();
    this.channel.leave();
  }

  /** Retention removed everything before `firstSeq`. */
  removed(firstSeq: number): void {
    this.feed.update((feed) => withoutRemoved(feed, firstSeq));
  }

  /** Load the page of what is older, if there is any. Throws {@link ApiError}. */
  loadOlder(): Promise<void> {
    this.#loading ??= this.#loadOlder().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #loadOlder(): Promise<void> {
    if (this.feed.get().complete) return;
    const before = nextBefore(this.feed.get());
    const query = before === undefined ? { limit: PAGE } : { limit: PAGE, before };
    const page = await historyPage(this.#api, this.topic, query);
    await this.#loadAcks((page.items[0]?.seq ?? 1) - 1, (page.items.at(-1)?.seq ?? 0) + 1);
    // A join meanwhile may have moved what this page was to continue.
    if (nextBefore(this.feed.get()) !== before) return this.#loadOlder();
    this.feed.update((feed) => older(feed, before ?? page.last_seq + 1, page.items, page.first_seq));
  }

  async #loadAcks(after: number, before: number): Promise<void> {
    const path = { name: this.topic };
    let from: number | null = after;
    while (from !== null && from < before - 1) {
      const query: { after: number; before: number } = { after: from, before };
      const state: AckState = await data(this.#api.GET("/api/v1/topics/{name}/acks", { params: { path, query } }));
      this.#events.acked(this.topic, { up_to: state.acked_up_to, seqs: state.seqs, revision: state.revision ?? 0 });
      from = state.next;
    }
  }

  #joinParams(): object {
    this.#pushes.flush();
    this.#since = this.feed.get().head;
    return this.#since === undefined ? {} : { since: this.#since };
  }

  #joined(reply: JoinReply): void {
    if (reply.version) this.#events.settings(this.topic, reply.version);
    this.status.set({ joined: true, refused: "", deleted: false, lost: false });
    const since = this.#since;
    if (since !== undefined && reply.last_seq < since) {
      // Another topic has this name now.
      this.feed.set(begun(EMPTY, reply.last_seq));
    } else if (since !== undefined) {
      this.#catchUpTo = reply.last_seq;
      this.#events.caughtUp(this.topic, reply.missing, reply.restored ?? false);
      const low = this.feed.get().low ?? since;
      // What another window acknowledged meanwhile; the next time it is asked for again.
      this.#loadAcks(Math.max(low, reply.acked_up_to), reply.last_seq + 1).catch(() => undefined);
    } else {
      const head = this.feed.get().head;
      this.feed.set(begun(EMPTY, reply.last_seq));
      // A page was loaded while the join was on its way, and something may lie between: from the top again.
      if (head !== undefined) this.loadOlder().catch(() => undefined);
      this.#events.began(this.topic);
    }
    this.#events.removed(this.topic, reply.first_seq);
    this.#events.acked(this.topic, { up_to: reply.acked_up_to, revision: reply.revision ?? 0 });
    this.#events.setUnread(this.topic, reply.unread, reply.expired);
  }

  #take(items: Notification[]): void {
    const before = this.feed.get().head ?? 0;
    this.feed.update((feed) => pushedAll(feed, items));
    const fresh = items.filter((item) => item.seq > before);
    const late = fresh.filter((item) => item.seq <= this.#catchUpTo);
    const live = fresh.filter((item) => item.seq > this.#catchUpTo);
    if (late.length > 0) this.#events.arrived(this.topic, late, false);
    if (live.length > 0) this.#events.arrived(this.topic, live, true);
  }
}
