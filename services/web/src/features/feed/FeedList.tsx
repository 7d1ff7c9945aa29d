import { Button } from "@mantine/core";
import { IconArrowUp } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { ApiError, sentence } from "@/api/errors";
import { pauseAfter } from "@/api/http";
import type { Notification } from "@/api/types";
import { Loading } from "@/components/Loading";
import { useObservable, useOwn } from "@/context/services";
import { useNow } from "@/context/useNow";
import { usePageKey } from "@/context/usePageKey";
import { isAcked } from "@/model/acks";
import { place } from "@/model/inbox";
import { recipientOf } from "@/model/paths";
import { headline, plural } from "@/model/text";
import classes from "./FeedList.module.css";
import { NotificationRow } from "./NotificationRow";
import { useAcknowledge } from "./useAcknowledge";
import { useHeldBack } from "./useHeldBack";
import { useKeptPlace } from "./useKeptPlace";
import { useOpened } from "./useOpened";

const LINE_HEIGHT = 66;

/** The next page is loaded when this many rows or fewer are left below. */
const AHEAD = 25;

const STEPS: Readonly<Record<string, number>> = { j: 1, k: -1 };
/** Elsewhere, arrows scroll. */
const STEPS_IN_LIST: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1 };

interface Props {
  label: string;
  /** Newest first. */
  items: readonly Notification[];
  /** Whether unread ones are marked: only where the user subscribes. */
  marks: boolean;
  /** What a topic is called in the list, where it mixes topics. */
  nameOf?: ((topic: string) => string | undefined) | undefined;
  complete: boolean;
  loadOlder: () => Promise<void>;
  empty: ReactNode;
  /** The one that the address names: it is scrolled to, opened and marked once it is in the list. */
  linked?: string | undefined;
  /** Older pages are loaded until the linked one is there. */
  seeking?: boolean;
  /** Above the first row. */
  children?: ReactNode;
}

/** A long list of notifications, of which only what is in sight is in the page. j and k move, Enter opens, a acknowledges. */
export function FeedList(props: Props) {
  const { label, items, marks, nameOf, complete, loadOlder, empty, linked, seeking = false, children } = props;
  const { live } = useOwn();
  const book = useObservable(live.book);
  const now = useNow();
  const scroller = useRef<HTMLDivElement>(null);
  const { opened, open, toggle } = useOpened();
  const { shown, held, release, onScroll } = useHeldBack(items, scroller);
  const { problem, passes, loading } = useOlder(shown.length, complete, loadOlder);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE_HEIGHT,
    getItemKey: (index) => (shown[index] === undefined ? index : place(shown[index])),
    overscan: 10,
  });
  const kept = useKeptPlace(virtual, shown, complete, linked === undefined);
  const rows = virtual.getVirtualItems();
  const last = rows.at(-1)?.index ?? 0;
  useEffect(() => {
    if (problem === "" && !complete && (seeking || kept.seeking || last >= shown.length - AHEAD)) loading.start();
  }, [last, shown.length, complete, seeking, kept.seeking, problem, loading]);

  const linkedIndex = linked === undefined ? -1 : shown.findIndex((item) => place(item) === linked);
  const followed = useRef("");
  /** Where the focus was last: a row whose button went away does not send the keys back to the top. */
  const visited = useRef("");
  useEffect(() => {
    if (linkedIndex < 0 || linked === undefined || followed.current === linked) return;
    followed.current = linked;
    open(linked);
    virtual.scrollToIndex(linkedIndex, { align: "center" });
    requestAnimationFrame(() => focusRow(scroller.current, linkedIndex));
  }, [linked, linkedIndex, open, virtual]);

  const showNewest = () => {
    release();
    // Once the list holds them: a scroll before would be taken for one of the list as it was.
    requestAnimationFrame(() => virtual.scrollToOffset(0));
  };
  const toggleItem = useCallback((item: Notification) => toggle(place(item)), [toggle]);
  // What one sent is read by others.
  const marked = (item: Notification) => marks && recipientOf(item.topic, live.ownInbox) === undefined;
  const isUnread = (item: Notification) => marked(item) && !isAcked(book, item.topic, item.seq);
  const acks = useAcknowledge();
  const markUnread = useCallback((item: Notification) => acks.markUnread(item.topic, [item.seq]), [acks.markUnread]);
  const acknowledge = useCallback(
    (item: Notification) => acks.acknowledge(item.topic, [item.seq], "Acknowledged."),
    [acks.acknowledge],
  );
  usePageKey((key, event) => {
    const row = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-index]") : null;
    const index = row === null ? shown.findIndex((one) => place(one) === visited.current) : Number(row.dataset.index);
    const step = STEPS[key] ?? (row === null ? undefined : STEPS_IN_LIST[key]);
    if (step !== undefined && shown.length > 0) {
      event.preventDefault();
      const next = Math.max(0, Math.min(shown.length - 1, index + step));
      virtual.scrollToIndex(next);
      // At once where the row is in the page: the next key is meant for it, however soon it comes.
      if (!focusRow(scroller.current, next)) requestAnimationFrame(() => focusRow(scroller.current, next));
    }
    const item = row === null ? undefined : shown[index];
    if (item === undefined || !marked(item)) return;
    const read = isAcked(book, item.topic, item.seq);
    if (key === "a" && !read) acknowledge(item);
    if (key === "u" && read) markUnread(item);
  });

  return (
    <div className={classes.frame}>
      {held > 0 && (
        <Button
          className={classes.held}
          size="xs"
          radius="xl"
          leftSection={<IconArrowUp size={14} />}
          onClick={showNewest}
        >
          {plural(held, "new notification")}
        </Button>
      )}
      <div
        ref={scroller}
        className={classes.scroller}
        onScroll={() => {
          onScroll();
          kept.onScroll();
        }}
      >
        {children}
        {rows.length > 0 && (
          <div
            role="feed"
            aria-label={label}
            aria-busy={loading.active}
            className={classes.feed}
            style={{ height: virtual.getTotalSize() }}
            onFocus={(event) => {
              const row = shown[Number(event.target.closest<HTMLElement>("[data-index]")?.dataset.index)];
              if (row !== undefined) visited.current = place(row);
            }}
          >
            {rows.map((row) => {
              const item = shown[row.index];
              if (item === undefined) return null;
              return (
                <article
                  key={row.key}
                  ref={virtual.measureElement}
                  data-index={row.index}
                  data-linked={place(item) === linked || undefined}
                  aria-posinset={row.index + 1}
                  aria-setsize={complete ? shown.length : -1}
                  aria-label={headline(item)}
                  className={classes.item}
                  style={{ transform: `translateY(${row.start}px)` }}
                >
                  <NotificationRow
                    item={item}
                    unread={isUnread(item)}
                    expanded={opened.has(place(item))}
                    now={now}
                    topicName={nameOf?.(item.topic)}
                    onToggle={toggleItem}
                    onAcknowledge={acknowledge}
                    onMarkUnread={marked(item) ? markUnread : undefined}
                  />
                </article>
              );
            })}
          </div>
        )}
        {shown.length === 0 && complete && <div className={classes.empty}>{empty}</div>}
        {(passes || (loading.active && problem === "")) && (
          <Loading label="Loading older notifications" problem={problem} again={loading.start} />
        )}
        {problem !== "" && !passes && (
          <div className={classes.more} role="alert">
            {problem}
            <Button size="compact-sm" variant="default" loading={loading.active} onClick={loading.start}>
              Try again
            </Button>
          </div>
        )}
      </div>
    </div>
  );
}

/** Whether the row was there. */
function focusRow(scroller: HTMLElement | null, index: number): boolean {
  const button = scroller?.querySelector<HTMLElement>(`[data-index="${index}"] button[aria-expanded]`);
  // The list scrolls by itself, by no more than it must.
  button?.focus({ preventScroll: true });
  return button != null;
}

interface Failure {
  readonly error: unknown;
  readonly tries: number;
}

/** Loading older pages, one at a time, and why the last try failed: it is tried again by itself where that may help. */
function useOlder(count: number, complete: boolean, loadOlder: () => Promise<void>) {
  const { live } = useOwn();
  const [failure, setFailure] = useState<Failure | null>(null);
  const [active, setActive] = useState(false);
  const running = useRef(false);
  const start = useCallback(() => {
    if (running.current) return;
    running.current = true;
    setActive(true);
    loadOlder()
      .then(
        () => setFailure(null),
        (error: unknown) => setFailure((before) => ({ error, tries: (before?.tries ?? 0) + 1 })),
      )
      .finally(() => {
        running.current = false;
        setActive(false);
      });
  }, [loadOlder]);
  useEffect(() => {
    if (failure === null) return;
    const { error, tries } = failure;
    if (!(error instanceof ApiError && error.passes)) return;
    const timer = setTimeout(start, pauseAfter(tries, error.retryAfter, Math.random()));
    // At once when the connection is back.
    const unsubscribe = live.connection.state.subscribe((state) => {
      if (state === "live") start();
    });
    return () => {
      clearTimeout(timer);
      unsubscribe();
    };
  }, [failure, live, start]);
  // A page that brought nothing new does not change what is in sight: look again.
  useEffect(() => {
    if (count === 0 && !complete && !active && failure === null) start();
  }, [count, complete, active, failure, start]);
  const problem = failure === null ? "" : sentence(failure.error);
  const passes = failure?.error instanceof ApiError && failure.error.passes;
  return { problem, passes, loading: { start, active } };
}
