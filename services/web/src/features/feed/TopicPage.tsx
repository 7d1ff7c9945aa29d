import { ActionIcon, Badge, Button, EmptyState, Skeleton, Tooltip } from "@mantine/core";
import { IconChecks, IconGhost2, IconPencil, IconSettings, IconVolumeOff } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Suspense } from "react";
import { Link } from "wouter";
import { sentence } from "@/api/errors";
import type { Topic } from "@/api/types";
import { Fallible } from "@/components/Fallible";
import { notifyError } from "@/components/notify";
import { PageHeader } from "@/components/PageHeader";
import { offlinePart } from "@/components/parts";
import { useReported } from "@/components/troubles";
import { unknownWords } from "@/components/useSlow";
import { problemOf, subscriptionsQuery, topicQuery } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { Pending } from "@/features/publish/Pending";
import { useComposing } from "@/features/publish/useComposing";
import { SearchField } from "@/features/search/SearchField";
import { SearchResults } from "@/features/search/SearchResults";
import { useAddressQuery } from "@/features/search/useAddressQuery";
import { SubscriptionControl } from "@/features/topics/SubscriptionControl";
import { plural } from "@/model/text";
import type { FeedStatus, TopicFeed } from "@/model/topicFeed";
import { countOf, toAcknowledge } from "@/model/unread";
import { Feed } from "./Feed";
import { Missed } from "./Missed";
import { useAcknowledgeAll } from "./useAcknowledgeAll";
import { useTopicFeed } from "./useTopicFeed";

const Composer = offlinePart(() => import("@/features/publish/Composer"));

export default function TopicPage({ name, seq }: { name: string; seq?: number | null | undefined }) {
  const { api } = useServices();
  const topic = useQuery(topicQuery(api, name));
  const feed = useTopicFeed(name);
  // One that is refused for good takes the page's place.
  useReported(topic.error === null ? unknownWords(problemOf(topic), false) : "");
  if (feed === null) return null;
  return <Page name={name} feed={feed} seq={seq} topic={topic.data} problem={topic.error} />;
}

interface Props {
  name: string;
  feed: TopicFeed;
  seq: number | null | undefined;
  topic: Topic | undefined;
  problem: unknown;
}

function Page({ name, feed, seq, topic, problem }: Props) {
  const { live } = useOwn();
  const { api } = useServices();
  const status = useObservable(feed.status);
  const { head } = useObservable(feed.feed);
  const unread = countOf(useObservable(live.unread), name);
  const expired = countOf(useObservable(live.expired), name);
  const acknowledge = toAcknowledge(unread, expired);
  const composing = useComposing(name);
  const acknowledgeAll = useAcknowledgeAll();
  const [query, search] = useAddressQuery();
  const subscriptions = useQuery(subscriptionsQuery(api));
  const subscribed = subscriptions.data?.some((one) => one.topic === name) ?? false;
  const composer = composing.shown && (
    <Fallible>
      <Suspense fallback={<Skeleton height={200} />}>
        <Composer key={composing.key} target={{ topic: name }} onClose={composing.close} />
      </Suspense>
    </Fallible>
  );
  const gone = goneBecause(status, topic, problem);
  if (gone !== "") {
    return (
      <>
        <PageHeader title={name} />
        {composer}
        <Pending topic={name} onEdit={composing.reopen} />
        <EmptyState m="auto" icon={<IconGhost2 />} title={gone}>
          <Button component={Link} href="/topics" variant="default">
            All topics
          </Button>
        </EmptyState>
      </>
    );
  }
  return (
    <>
      <PageHeader
        title={topic?.title || name}
        unread={subscribed ? unread : undefined}
        note={topic && <Note topic={topic} count={Math.max(head ?? 0, topic.last_seq)} />}
      >
        <SearchField label={`Search ${name}`} query={query} onSearch={search} />
        {subscribed && (
          <Tooltip label="Acknowledge everything in this topic">
            <Button
              size="xs"
              variant="default"
              leftSection={<IconChecks size={15} />}
              disabled={acknowledge.idle}
              onClick={() => acknowledgeAll(name).catch(notifyError)}
            >
              {acknowledge.words}
            </Button>
          </Tooltip>
        )}
        <SubscriptionControl name={name} />
        {topic?.can_publish && !topic.paused && (
          <Button size="xs" leftSection={<IconPencil size={15} />} onClick={composing.open}>
            {composing.begun ? "Continue your draft" : "Publish"}
          </Button>
        )}
        <Tooltip label="Settings of this topic">
          <ActionIcon component={Link} href={`/topics/${name}/settings`} variant="default" aria-label="Settings">
            <IconSettings size={17} />
          </ActionIcon>
        </Tooltip>
      </PageHeader>
      {composer}
      {query !== "" ? (
        <SearchResults topic={name} query={query} marks={subscribed} />
      ) : (
        <Feed
          feed={feed}
          label={`Notifications of ${name}`}
          marks={subscribed}
          empty={<Nothing topic={topic} />}
          seq={seq}
        >
          <Missed topic={name} />
          <Pending topic={name} onEdit={composing.reopen} />
        </Feed>
      )}
    </>
  );
}

/** Why the page shows nothing of a topic, also of one that it showed; empty where it shows it. */
function goneBecause({ deleted, lost }: FeedStatus, topic: Topic | undefined, problem: unknown): string {
  if (deleted) return "This topic was deleted.";
  if (topic === undefined && problem !== null) return sentence(problem);
  return lost && topic !== undefined ? "You may no longer read this topic, or it is gone." : "";
}

function Note({ topic, count }: { topic: Topic; count: number }) {
  return (
    <>
      {topic.title !== "" && <span>{topic.name}</span>}
      <span>{plural(count, "notification")} so far</span>
      {topic.visibility === "private" && (
        <Badge size="xs" variant="default">
          Private
        </Badge>
      )}
      {topic.resource !== null && (
        <Badge size="xs" variant="default" tt="none">
          Declared by {topic.resource}
        </Badge>
      )}
      {topic.paused && (
        <Badge size="xs" variant="default" leftSection={<IconVolumeOff size={11} />}>
          Paused
        </Badge>
      )}
    </>
  );
}

function Nothing({ topic }: { topic: Topic | undefined }) {
  return (
    <EmptyState
      title="Nothing was published here yet"
      description={
        topic?.paused
          ? "This topic is paused: nothing can be published until that ends in its settings."
          : topic?.can_publish
            ? "Publish something, or have a program do it: what is published shows here at once."
            : "What is published shows here at once."
      }
    >
      {topic?.paused && topic.can_manage && (
        <Button component={Link} href={`/topics/${topic.name}/settings`} variant="default">
          Settings of this topic
        </Button>
      )}
      {topic?.can_publish && !topic.paused && (
        <Button component={Link} href={`/topics/${topic.name}/settings#send-here`} variant="default">
          Send here from other software
        </Button>
      )}
    </EmptyState>
  );
}
