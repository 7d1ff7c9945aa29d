import { Button, EmptyState } from "@mantine/core";
import { IconMessage } from "@tabler/icons-react";
import { Link } from "wouter";
import { PageHeader } from "@/components/PageHeader";
import { useObservable, useOwn } from "@/context/services";
import { Feed } from "@/features/feed/Feed";
import { Missed } from "@/features/feed/Missed";
import { useTopicFeed } from "@/features/feed/useTopicFeed";
import { countOf } from "@/model/unread";

/** All that people and programs sent to this user alone, in one list: where the address of one message leads. */
export default function ReceivedPage({ seq }: { seq?: number | null | undefined }) {
  const { live } = useOwn();
  const feed = useTopicFeed(live.ownInbox);
  const unread = countOf(useObservable(live.unread), live.ownInbox);
  return (
    <>
      <PageHeader title="Direct messages" unread={unread} note="Received, in one list">
        <Button component={Link} href="/messages" size="xs" variant="default">
          By person
        </Button>
      </PageHeader>
      {feed !== null && (
        <Feed
          feed={feed}
          label="Direct messages"
          marks
          seq={seq}
          empty={<EmptyState icon={<IconMessage />} title="No messages yet" />}
        >
          <Missed topic={live.ownInbox} />
        </Feed>
      )}
    </>
  );
}
