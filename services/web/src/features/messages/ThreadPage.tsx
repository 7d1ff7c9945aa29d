import { Button, EmptyState } from "@mantine/core";
import { IconChecks, IconMessage } from "@tabler/icons-react";
import { useCallback, useLayoutEffect, useRef } from "react";
import { Link, useLocation } from "wouter";
import { sentence } from "@/api/errors";
import { Loading } from "@/components/Loading";
import { More } from "@/components/More";
import { PageHeader } from "@/components/PageHeader";
import { problemOf } from "@/context/queries";
import { useObservable, useOwn } from "@/context/services";
import { useNow } from "@/context/useNow";
import { useAcknowledge } from "@/features/feed/useAcknowledge";
import { useTopicFeed } from "@/features/feed/useTopicFeed";
import { useTakeBack } from "@/features/publish/useTakeBack";
import { isAcked } from "@/model/acks";
import { place } from "@/model/inbox";
import { plural } from "@/model/text";
import { DELETED } from "@/model/thread";
import type { TopicFeed } from "@/model/topicFeed";
import { Bubble, Unsent } from "./Bubble";
import { Reply } from "./Reply";
import classes from "./ThreadPage.module.css";
import { useThread, useUnsent } from "./useThread";
import { WRITING } from "./writing";

/** The most that one acknowledgement names. */
const MAX_SEQS = 1_000;

const AT_END_PX = 60;

/** Both sides of the direct messages with one other, and writing to them. */
export default function ThreadPage({ user }: { user: string }) {
  const { live } = useOwn();
  const feed = useTopicFeed(live.ownInbox);
  return feed === null ? null : <Thread other={user} feed={feed} />;
}

function Thread({ other, feed }: { other: string; feed: TopicFeed }) {
  const { live, user } = useOwn();
  const { query, items, name } = useThread(other, feed);
  const { refetch } = query;
  const unsent = useUnsent(
    other,
    useCallback(() => refetch(), [refetch]),
  );
  const takeBack = useTakeBack();
  const [, go] = useLocation();
  const book = useObservable(live.book);
  const now = useNow();
  const own = other === user.id;
  const whom = own ? "yourself" : (name ?? "this person");
  const isUnread = (item: (typeof items)[number]) =>
    item.topic === live.ownInbox && !isAcked(book, item.topic, item.seq);
  const unread = items.filter(isUnread).map((item) => item.seq);
  const scroller = useStaysAtEnd(items[0] && place(items[0]), unsent.waiting.at(-1)?.key);
  const acks = useAcknowledge();
  const acknowledge = (seqs: readonly number[]) => {
    const some = seqs.slice(-MAX_SEQS);
    acks.acknowledge(live.ownInbox, some, `${plural(some.length, "message")} acknowledged.`);
  };
  if (query.isLoadingError) {
    return (
      <EmptyState m="auto" icon={<IconMessage />} title={sentence(query.error)}>
        <Button component={Link} href="/messages" variant="default">
          Direct messages
        </Button>
      </EmptyState>
    );
  }
  return (
    <>
      <PageHeader
        title={
          own
            ? "Yourself"
            : other === DELETED
              ? "Deleted user"
              : (name ?? (query.isSuccess ? "New conversation" : "Conversation"))
        }
        unread={unread.length}
        note={<Link href="/messages">Direct messages</Link>}
      >
        <Button
          size="xs"
          variant="default"
          leftSection={<IconChecks size={15} />}
          disabled={unread.length === 0}
          onClick={() => acknowledge(unread)}
        >
          {unread.length === 0 ? "All read" : `Acknowledge ${unread.length}`}
        </Button>
      </PageHeader>
      <div className={classes.scroller} ref={scroller}>
        <div className={classes.content}>
          {query.isPending && <Loading label="Loading messages" problem={problemOf(query)} />}
          <More pages={query} size="xs" m="auto">
            Show older
          </More>
          {query.isSuccess && items.length + unsent.waiting.length === 0 && (
            <EmptyState
              m="auto"
              icon={<IconMessage />}
              title="No messages yet"
              description={
                other === DELETED ? "What deleted users sent you shows here." : "What you write below is the first."
              }
            />
          )}
          <div role="log" aria-label={`Messages with ${whom}`} className={classes.messages}>
            {items.map((item) => (
              <Bubble
                key={place(item)}
                item={item}
                now={now}
                unread={isUnread(item)}
                onAcknowledge={() => acknowledge([item.seq])}
                onMarkUnread={
                  item.topic === live.ownInbox ? () => acks.markUnread(live.ownInbox, [item.seq]) : undefined
                }
              />
            ))}
            {unsent.waiting.map((message) => (
              <Unsent
                key={message.key}
                message={message}
                problem={unsent.problem}
                onEdit={() => {
                  takeBack(message);
                  go("/messages", { state: WRITING });
                }}
                onRetry={() => unsent.retry(message.key)}
                onDiscard={() => unsent.discard(message.key)}
              />
            ))}
          </div>
        </div>
      </div>
      {other === DELETED ? (
        <p className={classes.closed}>Their accounts are deleted: nobody can be answered here.</p>
      ) : (
        <Reply key={other} other={other} name={whom} />
      )}
    </>
  );
}

/**
 * A scroller that begins at its end and stays there while more comes; what is added above `first` moves nothing, and what
 * the user has just `written` is in sight.
 */
function useStaysAtEnd(first: string | undefined, written: string | undefined) {
  const scroller = useRef<HTMLDivElement>(null);
  const fromEnd = useRef(0);
  const known = useRef(first);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    if (known.current !== first) element.scrollTop = element.scrollHeight - fromEnd.current;
    known.current = first;
  }, [first]);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element !== null && written !== undefined) element.scrollTop = element.scrollHeight;
  }, [written]);
  useLayoutEffect(() => {
    const element = scroller.current;
    const content = element?.firstElementChild;
    if (element == null || content == null) return;
    const onScroll = () => {
      fromEnd.current = element.scrollHeight - element.scrollTop;
    };
    const observer = new ResizeObserver(() => {
      if (fromEnd.current - element.clientHeight <= AT_END_PX) element.scrollTop = element.scrollHeight;
      onScroll();
    });
    observer.observe(content);
    observer.observe(element);
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", onScroll);
    };
  }, []);
  return scroller;
}
