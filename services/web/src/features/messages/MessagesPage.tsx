import { Button, EmptyState, Skeleton } from "@mantine/core";
import { IconChecks, IconMessage, IconPencil } from "@tabler/icons-react";
import { Suspense, useState } from "react";
import { Fallible } from "@/components/Fallible";
import { notifyError } from "@/components/notify";
import { PageHeader } from "@/components/PageHeader";
import { offlinePart } from "@/components/parts";
import { useObservable, useOwn } from "@/context/services";
import { Feed } from "@/features/feed/Feed";
import { InboxFull } from "@/features/feed/InboxFull";
import { Missed } from "@/features/feed/Missed";
import { useAcknowledgeAll } from "@/features/feed/useAcknowledgeAll";
import { useTopicFeed } from "@/features/feed/useTopicFeed";
import { Pending } from "@/features/publish/Pending";
import { SearchField } from "@/features/search/SearchField";
import { SearchResults } from "@/features/search/SearchResults";
import { useAddressQuery } from "@/features/search/useAddressQuery";
import { SubscriptionControl } from "@/features/topics/SubscriptionControl";
import { countOf, toAcknowledge } from "@/model/unread";

const Composer = offlinePart(() => import("@/features/publish/Composer"));

/** What people and programs sent to this user alone, and writing to others. */
export default function MessagesPage({ seq }: { seq?: number | undefined }) {
  const { live } = useOwn();
  const feed = useTopicFeed(live.ownInbox);
  const unread = countOf(useObservable(live.unread), live.ownInbox);
  const expired = countOf(useObservable(live.expired), live.ownInbox);
  const acknowledge = toAcknowledge(unread, expired);
  const [writing, setWriting] = useState(false);
  const acknowledgeAll = useAcknowledgeAll();
  const [query, search] = useAddressQuery();
  return (
    <>
      <PageHeader title="Direct messages" unread={unread} note="Sent to you alone">
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
        <Button size="xs" leftSection={<IconPencil size={15} />} onClick={() => setWriting(true)}>
          New message
        </Button>
      </PageHeader>
      {writing && (
        <Fallible>
          <Suspense fallback={<Skeleton height={200} />}>
            <Composer target="person" onClose={() => setWriting(false)} />
          </Suspense>
        </Fallible>
      )}
      {query !== "" && <SearchResults topic={live.ownInbox} query={query} marks />}
      {query === "" && feed !== null && (
        <Feed
          feed={feed}
          label="Direct messages"
          marks
          seq={seq}
          empty={
            <EmptyState
              icon={<IconMessage />}
              title="No messages yet"
              description="What somebody sends to you shows here, and in your inbox."
            />
          }
        >
          <InboxFull />
          <Missed topic={live.ownInbox} />
          <Pending />
        </Feed>
      )}
    </>
  );
}
