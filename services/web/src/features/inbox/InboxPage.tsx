import { Button, EmptyState, SegmentedControl } from "@mantine/core";
import { IconChecks, IconInbox } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { Link } from "wouter";
import { Loading } from "@/components/Loading";
import { notifyError } from "@/components/notify";
import { PageHeader } from "@/components/PageHeader";
import { problemOf, subscriptionsQuery } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { FeedList } from "@/features/feed/FeedList";
import { InboxFull } from "@/features/feed/InboxFull";
import { Missed } from "@/features/feed/Missed";
import { useAcknowledgeAll } from "@/features/feed/useAcknowledgeAll";
import { SearchField } from "@/features/search/SearchField";
import { SearchResults } from "@/features/search/SearchResults";
import { useAddressQuery } from "@/features/search/useAddressQuery";
import { isAcked } from "@/model/acks";
import { plural } from "@/model/text";
import { total } from "@/model/unread";

export default function InboxPage() {
  const { live } = useOwn();
  const unread = total(useObservable(live.unread));
  const expired = total(useObservable(live.expired));
  const [filter, setFilter] = useState("all");
  const [query, search] = useAddressQuery();
  const acknowledgeAll = useAcknowledgeAll();
  return (
    <>
      <PageHeader title="Inbox" unread={unread} note={unreadWords(unread)}>
        <SearchField label="Search your inbox" query={query} onSearch={search} />
        <SegmentedControl
          size="xs"
          aria-label="Show"
          value={filter}
          onChange={setFilter}
          data={[
            { value: "all", label: "All" },
            { value: "unread", label: "Unread" },
          ]}
        />
        <Button
          size="xs"
          variant="default"
          leftSection={<IconChecks size={15} />}
          disabled={!unread && !expired}
          onClick={() => acknowledgeAll().catch(notifyError)}
        >
          Acknowledge all
        </Button>
      </PageHeader>
      <InboxFull />
      <Missed />
      {query !== "" ? (
        <SearchResults unread={filter === "unread"} query={query} marks />
      ) : filter === "all" ? (
        <Everything />
      ) : (
        <OnlyUnread />
      )}
    </>
  );
}

/** Nothing unread is something else than not known. */
function unreadWords(unread: number | undefined): string {
  if (unread === undefined) return "Unread: not known yet";
  return unread === 0 ? "Nothing unread" : `${plural(unread, "notification")} unread`;
}

function Everything() {
  const { live } = useOwn();
  const inbox = useObservable(live.inbox.inbox);
  const loadOlder = useCallback(() => live.inbox.loadOlder(), [live]);
  const nameOf = (topic: string) => live.nameOf(topic);
  return (
    <FeedList
      label="Inbox"
      items={inbox.items}
      marks
      nameOf={nameOf}
      complete={inbox.next === null}
      loadOlder={loadOlder}
      empty={<NothingYet />}
    />
  );
}

function OnlyUnread() {
  const { live } = useOwn();
  const inbox = useObservable(live.unreadInbox.inbox);
  const book = useObservable(live.book);
  const items = useMemo(() => inbox.items.filter((item) => !isAcked(book, item.topic, item.seq)), [inbox.items, book]);
  const loadOlder = useCallback(() => live.unreadInbox.loadOlder(), [live]);
  const nameOf = (topic: string) => live.nameOf(topic);
  return (
    <FeedList
      label="Unread notifications"
      items={items}
      marks
      nameOf={nameOf}
      complete={inbox.next === null}
      loadOlder={loadOlder}
      empty={<EmptyState icon={<IconChecks />} title="All caught up" description="What arrives shows here at once." />}
    />
  );
}

function NothingYet() {
  const { api } = useServices();
  const { live } = useOwn();
  const subscriptions = useQuery(subscriptionsQuery(api));
  if (subscriptions.data === undefined) {
    return <Loading label="Loading your subscriptions" problem={problemOf(subscriptions)} />;
  }
  const some = subscriptions.data.some((one) => one.topic !== live.ownInbox);
  return (
    <EmptyState
      icon={<IconInbox />}
      title="Nothing here yet"
      description={
        some
          ? "What is published to your topics from now on shows here at once."
          : "Subscribe to topics: what is published to them from then on shows here at once."
      }
    >
      {!some && (
        <Button component={Link} href="/topics">
          Browse topics
        </Button>
      )}
    </EmptyState>
  );
}
