import { Badge, Button, EmptyState, TextInput } from "@mantine/core";
import { useDebouncedValue, useDisclosure, useHotkeys } from "@mantine/hooks";
import { IconHash, IconPlus, IconSearch } from "@tabler/icons-react";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Suspense, useRef, useState } from "react";
import { Link } from "wouter";
import { data } from "@/api/client";
import type { Topic } from "@/api/types";
import { Loading } from "@/components/Loading";
import { More } from "@/components/More";
import { PageHeader } from "@/components/PageHeader";
import { offlinePart } from "@/components/parts";
import { problemOf, TOLD } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { plural } from "@/model/text";
import { countOf } from "@/model/unread";
import { SubscriptionControl } from "./SubscriptionControl";
import classes from "./TopicsPage.module.css";

const CreateTopic = offlinePart(() => import("./CreateTopic"));

const PAGE = 50;
const TYPING_MS = 250;

export default function TopicsPage() {
  const [creating, { open, close }] = useDisclosure();
  const [search, setSearch] = useState("");
  const [wanted] = useDebouncedValue(search.trim(), TYPING_MS);
  const field = useRef<HTMLInputElement>(null);
  useHotkeys([["/", () => field.current?.focus()]]);
  const topics = useTopics(wanted);
  const found = topics.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <PageHeader title="Topics" note="What you may read">
        <TextInput
          ref={field}
          type="search"
          size="xs"
          w={200}
          aria-label="Search topics by name"
          placeholder="Search by name"
          leftSection={<IconSearch size={14} />}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
        />
        <Button size="xs" leftSection={<IconPlus size={15} />} onClick={open}>
          New topic
        </Button>
      </PageHeader>
      <div className={classes.page}>
        {topics.isPending && <Loading label="Loading topics" problem={problemOf(topics)} />}
        {topics.isSuccess && found.length === 0 && <Nothing wanted={wanted} onCreate={open} />}
        <ul className={classes.list}>
          {found.map((topic) => (
            <TopicRow key={topic.id} topic={topic} />
          ))}
        </ul>
        <More pages={topics} m="md" />
      </div>
      {creating && (
        <Suspense>
          <CreateTopic onClose={close} />
        </Suspense>
      )}
    </>
  );
}

function useTopics(wanted: string) {
  const { api } = useServices();
  return useInfiniteQuery({
    queryKey: ["topics", wanted],
    queryFn: ({ pageParam }) => {
      const query = {
        limit: PAGE,
        ...(wanted === "" ? {} : { q: wanted.toLowerCase() }),
        ...(pageParam === null ? {} : { after: pageParam }),
      };
      return data(api.GET("/api/v1/topics", { params: { query } }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    ...TOLD,
  });
}

function TopicRow({ topic }: { topic: Topic }) {
  const { live } = useOwn();
  const unread = countOf(useObservable(live.unread), topic.name) ?? 0;
  return (
    <li className={classes.row}>
      <div className={classes.text}>
        <Link href={`/topics/${topic.name}`} className={classes.name}>
          {topic.name}
        </Link>
        <div className={classes.facts}>
          {topic.title !== "" && <bdi>{topic.title}</bdi>}
          <span>{plural(topic.last_seq, "notification")}</span>
          {topic.visibility === "private" && (
            <Badge size="xs" variant="default">
              Private
            </Badge>
          )}
          {topic.resource !== null && (
            <Badge size="xs" variant="default" tt="none">
              {topic.resource}
            </Badge>
          )}
          {topic.paused && (
            <Badge size="xs" variant="default">
              Paused
            </Badge>
          )}
        </div>
      </div>
      {unread > 0 && <span className={classes.unread}>{unread} unread</span>}
      <SubscriptionControl name={topic.name} />
    </li>
  );
}

function Nothing({ wanted, onCreate }: { wanted: string; onCreate: () => void }) {
  if (wanted !== "") return <EmptyState icon={<IconSearch />} title={`No topic's name contains "${wanted}"`} />;
  return (
    <EmptyState
      icon={<IconHash />}
      title="There are no topics yet"
      description="A topic is what people and programs publish to, and others subscribe to."
    >
      <Button onClick={onCreate}>Create the first one</Button>
    </EmptyState>
  );
}
