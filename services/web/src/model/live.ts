/** Everything live of one signed-in user in this window: the socket, the feeds, the inbox, the outbox, the alerts. */
import { type Api, data } from "@/api/client";
import { Observable } from "@/api/observable";
import { historyPage } from "@/api/pages";
import type { Session } from "@/api/session";
import type { Notification, Subscription, User } from "@/api/types";
import { Connection } from "@/socket/connection";
import type { SentPush, UnreadPush } from "@/socket/messages";
import { type Ack, type AckBook, acked, countUnread, subscribedTo, type Unack, unacked } from "./acks";
import { Alerter } from "./alerter";
import { Drafts } from "./drafts";
import { InboxFeed } from "./inboxFeed";
import { Outbox } from "./sender";
import { type Notify, SettingsNews } from "./settingsNews";
import { type Sent, sentOnceMore } from "./thread";
import { type FeedEvents, type FeedStatus, TopicFeed } from "./topicFeed";
import { among, type Counts, counted, moved, PushTimes, UNKNOWN } from "./unread";

/** Subscriptions that are followed by channels of their own; a socket has at most 100. */
const MAX_FOLLOWED = 80;
const GATHER_ARRIVALS_MS = 600;

/** What came while this window was away. */
export interface Arrivals {
  readonly count: number;
  readonly missing: number;
  /** The platform was restored from a backup meanwhile. */
  readonly restored: boolean;
}

const NONE_ARRIVED: Arrivals = { count: 0, missing: 0, restored: false };

export interface LiveWants {
  /** The set of subscriptions may have changed. */
  subscriptionsChanged(): void;
  /** What is shown of the account may have changed, from whatever device. */
  accountChanged(): void;
  /** The settings of a topic that is followed have a version. */
  settings: Notify;
  /** A topic that was followed is gone. */
  topicsChanged(): void;
  arrivals(arrivals: Arrivals): void;
  /** Something that was shown as done was refused. */
  refused(error: unknown): void;
}

export class Live implements FeedEvents {
  readonly book = new Observable<AckBook>(new Map());
  readonly unread = new Observable<Counts>(UNKNOWN);
  /** What was removed before the user read it, of each topic. */
  readonly expired = new Observable<Counts>(UNKNOWN);
  /** What the user sent, on whatever device. */
  readonly sent = new Observable<Sent>(new Map());
  readonly connection: Connection;
  readonly inbox: InboxFeed;
  readonly unreadInbox: InboxFeed;
  readonly outbox: Outbox;
  readonly alerter: Alerter;
  readonly drafts: Drafts;
  readonly ownInbox: string;
  /** How this window follows the user's own channel: without it, nothing is live. */
  readonly own: Observable<FeedStatus>;

  readonly #user: User;
  readonly #api: Api;
  readonly #wants: LiveWants;
  /** When counts were pushed, or changed here. */
  readonly #pushes = new PushTimes();
  readonly #feeds = new Map<string, { feed: TopicFeed; users: number }>();
  readonly #cleanup: (() => void)[] = [];
  #subscribed: ReadonlySet<string> = new Set();
  #followed = new Map<string, () => void>();
  readonly #settings: SettingsNews;
  #arrivals: Arrivals = NONE_ARRIVED;
  #arrivalsTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(user: User, socketUrl: string, session: Session, api: Api, wants: LiveWants) {
    this.#user = user;
    this.#api = api;
    this.#wants = wants;
    this.#settings = new SettingsNews(wants.settings);
    this.ownInbox = `user:${user.id}`;
    this.connection = new Connection(socketUrl, session);
    const events = {
      acked: (topic: string, ack: Ack) => this.acked(topic, ack),
      unread: (counts: Readonly<Record<string, number>>, expired: Readonly<Record<string, number>>, asked: number) => {
        for (const [topic, count] of Object.entries(counts)) this.#read(topic, count, expired[topic] ?? 0, asked);
      },
    };
    this.inbox = new InboxFeed(api, events, false);
    this.unreadInbox = new InboxFeed(api, events, true);
    this.outbox = new Outbox(api, user.id, (topic, error) => this.#notTakenBack(topic, error));
    this.drafts = new Drafts(sessionStorage, user.id);
    this.alerter = new Alerter(user.id, (topic) => this.nameOf(topic));
    const own = this.#follow(this.ownInbox);
    this.own = own.status;
    own.channel.on("unread", (push: UnreadPush) => this.#counted(push));
    own.channel.on("account_changed", () => wants.accountChanged());
    own.channel.on("sent", ({ to }: SentPush) => this.sent.update((sent) => sentOnceMore(sent, to)));
    this.#cleanup.push(
      session.accessToken.subscribe((token) => {
        if (token !== "" && own.status.get().joined) own.channel.push("access_token", { token });
      }),
      this.connection.state.subscribe((state) => {
        if (state === "live") this.outbox.nudge();
      }),
    );
    this.connection.start().catch(() => this.connection.state.set("offline"));
  }

  nameOf(topic: string): string {
    return topic === this.ownInbox ? "Direct messages" : topic;
  }

  /** Follow a topic until the returned function is called. */
  open(topic: string): { feed: TopicFeed; release: () => void } {
    let held = this.#feeds.get(topic);
    if (held === undefined || held.feed.status.get().deleted) {
      const channel = topic === this.ownInbox ? "user:me" : `topic:${topic}`;
      held = { feed: new TopicFeed(topic, channel, this.connection, this.#api, this), users: 0 };
      this.#feeds.set(topic, held);
    }
    held.users += 1;
    const entry = held;
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      entry.users -= 1;
      if (entry.users > 0) return;
      if (this.#feeds.get(topic) === entry) this.#feeds.delete(topic);
      entry.feed.leave();
    };
    return { feed: held.feed, release };
  }

  /** What the user subscribes to now, as it was asked for at `asked` (`performance.now()`). */
  subscriptions(items: readonly Subscription[], asked: number): void {
    const topics = new Set(items.map((item) => item.topic));
    const ended = new Set([...this.#subscribed].filter((topic) => !topics.has(topic)));
    const began = [...topics].some((topic) => !this.#subscribed.has(topic));
    const first = this.#subscribed.size === 0;
    this.#subscribed = topics;
    this.book.update((book) => subscribedTo(book, items));
    for (const counts of [this.unread, this.expired]) counts.update((known) => among(known, topics));
    for (const item of items) this.#read(item.topic, item.unread, item.expired, asked);
    for (const [topic, release] of this.#followed) {
      if (topics.has(topic) || topic === this.ownInbox) continue;
      release();
      this.#followed.delete(topic);
    }
    for (const topic of topics) if (this.#followed.size < MAX_FOLLOWED) this.#follow(topic);
    if (ended.size > 0) for (const inbox of [this.inbox, this.unreadInbox]) inbox.remove(ended);
    if (began && !first) for (const inbox of [this.inbox, this.unreadInbox]) inbox.refreshSoon();
  }

  /** The last seq of a topic that is followed. */
  headOf(topic: string): number | undefined {
    return this.#feeds.get(topic)?.feed.feed.get().head;
  }

  isSubscribed(topic: string): boolean {
    return topic === this.ownInbox || this.#subscribed.has(topic);
  }

  /** The user acknowledges: shown at once here, sent when that can be. Throws {@link ApiError} when too much waits. */
  acknowledge(topic: string, ack: Ack): void {
    const { revision = 0 } = this.book.get().get(topic) ?? {};
    this.outbox.acknowledge(topic, revision > 0 ? { ...ack, revision } : ack);
    const count = countUnread(this.book.get(), topic, ack.seqs ?? []);
    this.acked(topic, ack);
    this.#pushes.pushed(topic, performance.now());
    if (ack.up_to === undefined) this.unread.update((unread) => moved(unread, topic, -count));
    else if (ack.up_to >= (this.headOf(topic) ?? Number.POSITIVE_INFINITY)) {
      this.setUnread(topic, 0, 0);
    }
  }

  /**
   * The user takes acknowledgements back, and `count` are unread again: shown at once, sent after what was done before.
   * Throws {@link ApiError}.
   */
  unacknowledge(topic: string, unack: Unack, count: number): void {
    this.outbox.unacknowledge(topic, unack);
    this.book.update((book) => unacked(book, topic, unack));
    this.#pushes.pushed(topic, performance.now());
    this.unread.update((unread) => moved(unread, topic, count));
  }

  close(): void {
    for (const undo of this.#cleanup) undo();
    clearTimeout(this.#arrivalsTimer);
    for (const part of [this.#settings, this.outbox, this.alerter, this.inbox, this.unreadInbox, this.connection])
      part.close();
  }

  // What feeds tell

  arrived(topic: string, items: readonly Notification[], live: boolean): void {
    if (!this.isSubscribed(topic)) return;
    this.inbox.add(items);
    this.unreadInbox.add(items);
    if (live) this.alerter.arrived(items);
    else this.#away(items.filter((item) => item.publisher.id !== this.#user.id).length, 0);
  }

  acked(topic: string, ack: Ack): void {
    this.book.update((book) => acked(book, topic, ack));
  }

  setUnread(topic: string, unread: number, expired = 0): void {
    if (!this.#counts(topic)) return;
    this.#pushes.pushed(topic, performance.now());
    this.#count(topic, unread, expired);
  }

  /** Until it is known what is subscribed to, every count is kept: the answer that tells may be older. */
  #counts(topic: string): boolean {
    return this.isSubscribed(topic) || !this.unread.get().all;
  }

  #read(topic: string, unread: number, expired: number | undefined, asked: number): void {
    if (this.#pushes.isNews(topic, asked)) this.#count(topic, unread, expired);
  }

  #count(topic: string, unread: number, expired = 0): void {
    if (!this.#counts(topic)) return;
    this.unread.update((known) => counted(known, topic, unread));
    if (expired > (this.expired.get().of.get(topic) ?? 0)) this.#lookForRemoved(topic).catch(() => undefined);
    this.expired.update((known) => counted(known, topic, expired));
  }

  removed(topic: string, firstSeq: number): void {
    this.#feeds.get(topic)?.feed.removed(firstSeq);
    for (const inbox of [this.inbox, this.unreadInbox]) inbox.removed(topic, firstSeq);
  }

  /** What retention removed leaves the page, which says how much it was. */
  async #lookForRemoved(topic: string): Promise<void> {
    const held = [this.#feeds.get(topic)?.feed.feed, this.inbox.inbox, this.unreadInbox.inbox];
    if (!held.some((list) => list?.get().items.some((item) => item.topic === topic))) return;
    const page = await historyPage(this.#api, topic, { limit: 1 });
    this.removed(topic, page.first_seq);
  }

  caughtUp(topic: string, missing: number, restored: boolean): void {
    if (this.isSubscribed(topic)) this.#away(0, missing, restored);
    // While it was away, this window was not notified of changes of the account.
    if (topic === this.ownInbox) this.#wants.accountChanged();
  }

  #away(count: number, missing: number, restored = false): void {
    if (count + missing === 0 && !restored) return;
    const before = this.#arrivals;
    this.#arrivals = {
      count: before.count + count,
      missing: before.missing + missing,
      restored: before.restored || restored,
    };
    clearTimeout(this.#arrivalsTimer);
    this.#arrivalsTimer = setTimeout(() => {
      this.#wants.arrivals(this.#arrivals);
      this.#arrivals = NONE_ARRIVED;
    }, GATHER_ARRIVALS_MS);
  }

  began(topic: string): void {
    if (!this.isSubscribed(topic)) return;
    this.inbox.refreshSoon();
    this.unreadInbox.refreshSoon();
  }

  settings(topic: string, version: string): void {
    this.#settings.heard(topic, version);
  }

  gone(topic: string): void {
    this.#followed.get(topic)?.();
    this.#followed.delete(topic);
    const topics = new Set([topic]);
    this.inbox.remove(topics);
    this.unreadInbox.remove(topics);
    this.#wants.topicsChanged();
    this.#wants.subscriptionsChanged();
  }

  /** The page shows what the server has again. */
  #notTakenBack(topic: string, error: unknown): void {
    this.#wants.refused(error);
    const params = { path: { name: topic } };
    data(this.#api.GET("/api/v1/topics/{name}/acks", { params })).then(
      ({ acked_up_to, seqs, revision }) => {
        const position = { upTo: acked_up_to, seqs: new Set(seqs), revision: revision ?? 0 };
        this.book.update((book) => new Map(book).set(topic, position));
      },
      () => undefined,
    );
  }

  #follow(topic: string): TopicFeed {
    const { feed, release } = this.open(topic);
    if (this.#followed.has(topic)) release();
    else this.#followed.set(topic, release);
    return feed;
  }

  #counted({ topic, unread, expired }: UnreadPush): void {
    if (!this.isSubscribed(topic)) {
      this.#wants.subscriptionsChanged();
      return;
    }
    this.setUnread(topic, unread, expired);
    if (!this.#followed.has(topic)) {
      this.inbox.refreshSoon();
      this.unreadInbox.refreshSoon();
    }
  }
}
