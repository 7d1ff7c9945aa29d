import { Button, EmptyState, Skeleton } from "@mantine/core";
import { IconChecks, IconMessage, IconPencil } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Suspense } from "react";
import { Link } from "wouter";
import type { Thread } from "@/api/types";
import { Fallible } from "@/components/Fallible";
import { Loading } from "@/components/Loading";
import { More } from "@/components/More";
import { notifyError } from "@/components/notify";
import { PageHeader } from "@/components/PageHeader";
import { offlinePart } from "@/components/parts";
import { problemOf, threadsQuery } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { useNow } from "@/context/useNow";
import { InboxFull } from "@/features/feed/InboxFull";
import { Missed } from "@/features/feed/Missed";
import { useAcknowledgeAll } from "@/features/feed/useAcknowledgeAll";
import { Pending } from "@/features/publish/Pending";
import { useComposing } from "@/features/publish/useComposing";
import { SearchField } from "@/features/search/SearchField";
import { SearchResults } from "@/features/search/SearchResults";
import { useAddressQuery } from "@/features/search/useAddressQuery";
import { SubscriptionControl } from "@/features/topics/SubscriptionControl";
import { threadPath } from "@/model/paths";
import { fullTime, plain, when } from "@/model/text";
import { timesSent } from "@/model/thread";
import { badge, countOf, toAcknowledge } from "@/model/unread";
import classes from "./MessagesPage.module.css";
import { useLately } from "./useLately";
import { isWriting } from "./writing";

const Composer = offlinePart(() => import("@/features/publish/Composer"));

/** Those with whom the user exchanged messages, people and programs, and writing to others. */
export default function MessagesPage() {
  const { live } = useOwn();
  const unread = countOf(useObservable(live.unread), live.ownInbox);
  const expired = countOf(useObservable(live.expired), live.ownInbox);
  const acknowledge = toAcknowledge(unread, expired);
  const composing = useComposing(undefined, isWriting());
  const acknowledgeAll = useAcknowledgeAll();
  const [query, search] = useAddressQuery();
  return (
    <>
      <PageHeader
        title="Direct messages"
        unread={unread}
        note={
          <>
            <span>Each with one other person</span>
            <Link href="/messages/received">All received</Link>
          </>
        }
      >
        <SearchField label="Search your direct messages" query={query} onSearch={search} />
        <Button
          size="xs"
          variant="default"
          leftSection={<IconChecks size={15} />}
          disabled={acknowledge.idle}
          onClick={() => acknowledgeAll(live.ownInbox).catch(notifyError)}
        >
          {acknowledge.words}
        </Button>
        <SubscriptionControl name={live.ownInbox} fixed />
        <Button size="xs" leftSection={<IconPencil size={15} />} onClick={composing.open}>
          {composing.begun ? "Continue your draft" : "New message"}
        </Button>
      </PageHeader>
      {composing.shown && (
        <Fallible>
          <Suspense fallback={<Skeleton height={200} />}>
            <Composer key={composing.key} target="person" onClose={composing.close} />
          </Suspense>
        </Fallible>
      )}
      {query !== "" ? <SearchResults direct query={query} marks /> : <Threads onEdit={composing.reopen} />}
    </>
  );
}

function Threads({ onEdit }: { onEdit: () => void }) {
  const { live } = useOwn();
  const { api } = useServices();
  const threads = useInfiniteQuery(threadsQuery(api));
  const now = useNow();
  const sent = useObservable(live.sent);
  useLately(() => threads.refetch(), timesSent(sent));
  const found = threads.data?.pages.flatMap((page) => page.items) ?? [];
  // What moved to the top while pages were read is in two of them.
  const once = [...new Map(found.map((thread) => [thread.user, thread])).values()];
  return (
    <div className={classes.page}>
      <InboxFull />
      <Missed topic={live.ownInbox} />
      <Pending onEdit={onEdit} />
      {threads.isPending && <Loading label="Loading messages" problem={problemOf(threads)} />}
      {threads.isSuccess && once.length === 0 && (
        <EmptyState
          m="auto"
          icon={<IconMessage />}
          title="No messages yet"
          description="What you send to somebody, and what somebody sends to you, shows here."
        />
      )}
      <ul className={classes.list} aria-label="People">
        {once.map((thread) => (
          <Row key={thread.user} thread={thread} now={now} />
        ))}
      </ul>
      <More pages={threads} m="md" />
    </div>
  );
}

function Row({ thread, now }: { thread: Thread; now: number }) {
  const { user } = useOwn();
  const { latest, unread } = thread;
  const own = thread.user === user.id;
  return (
    <li className={classes.row} data-unread={unread > 0 || undefined}>
      <Link href={threadPath(thread.user)} className={classes.link}>
        <span className={classes.text}>
          <span className={classes.name} dir="auto">
            {own ? "Yourself" : thread.name || thread.user}
          </span>
          <span className={classes.latest}>
            {latest.sent && !own && "You: "}
            <bdi>{latest.title || plain(latest.text) || "Data"}</bdi>
          </span>
        </span>
        <span className={classes.facts}>
          <time dateTime={latest.published_at} title={fullTime(latest.published_at)}>
            {when(latest.published_at, now)}
          </time>
          {unread > 0 && (
            <span className={classes.count}>
              {badge(unread)}
              <span className={classes.hidden}> unread</span>
            </span>
          )}
        </span>
      </Link>
    </li>
  );
}
