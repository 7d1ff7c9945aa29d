import { offlinePart } from "@/components/parts";
import "@mantine/core/styles/InlineInput.css";
import "@mantine/core/styles/Combobox.css";
import "@mantine/core/styles/Pill.css";
import "@mantine/core/styles/PillsInput.css";
import "@mantine/core/styles/Switch.css";
import { Alert, Button, EmptyState } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconArrowLeft, IconLock } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Suspense } from "react";
import { Link } from "wouter";
import { sentence } from "@/api/errors";
import type { DescribedTopic } from "@/api/types";
import { Loading } from "@/components/Loading";
import { PageHeader } from "@/components/PageHeader";
import { describedTopicQuery, problemOf } from "@/context/queries";
import { useServices } from "@/context/services";
import { fieldsOf } from "./fields";
import { TopicForm } from "./TopicForm";
import classes from "./TopicSettings.module.css";

const DeleteTopic = offlinePart(() => import("./DeleteTopic"));
const SendHere = offlinePart(() => import("./SendHere"));
const SubscriberList = offlinePart(() => import("./SubscriberList"));

export default function TopicSettingsPage({ name }: { name: string }) {
  const { api } = useServices();
  const topic = useQuery({ ...describedTopicQuery(api, name), refetchOnMount: "always" });
  return (
    <>
      <PageHeader title={`Settings of ${name}`}>
        <Button
          component={Link}
          href={`/topics/${name}`}
          size="xs"
          variant="default"
          leftSection={<IconArrowLeft size={15} />}
        >
          Back to the topic
        </Button>
      </PageHeader>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: where nothing can be set, the keys must still scroll it */}
      <section className={classes.page} aria-label="Settings" tabIndex={0}>
        {topic.data !== undefined && <Settings topic={topic.data} />}
        {topic.isPending && <Loading label="Loading the settings" problem={problemOf(topic)} />}
        {topic.data === undefined && topic.error !== null && <EmptyState title={sentence(topic.error)} />}
      </section>
    </>
  );
}

function declaration({ declared_in, resource }: DescribedTopic): string {
  return declared_in === null ? `Declared by the resource ${resource}` : `Declared in the file ${declared_in}`;
}

function Settings({ topic }: { topic: DescribedTopic }) {
  const [deleting, { open, close }] = useDisclosure();
  const declared = topic.resource !== null;
  const editable = topic.can_manage && !declared;
  return (
    <div className={classes.column}>
      {declared && (
        <Alert icon={<IconLock />} color="gray" title={declaration(topic)}>
          {topic.declared_in === null
            ? "It is changed in the file that declares it. Here it can only be read."
            : `It is changed in ${topic.declared_in}, which is read when the platform starts. Here it can only be read.`}
        </Alert>
      )}
      {!declared && !topic.can_manage && (
        <Alert icon={<IconLock />} color="gray">
          Only its creators change this topic.
        </Alert>
      )}
      <TopicForm key={JSON.stringify(fieldsOf(topic))} topic={topic} editable={editable} />
      {topic.can_publish && (
        <Suspense>
          <SendHere name={topic.name} />
        </Suspense>
      )}
      {topic.can_manage && (
        <Suspense>
          <SubscriberList name={topic.name} />
        </Suspense>
      )}
      {editable && (
        <section className={classes.section}>
          <h2>Delete</h2>
          <p className={classes.hint}>Deletes the topic and all its notifications, for everyone.</p>
          <div>
            <Button color="red" variant="light" onClick={open}>
              Delete this topic
            </Button>
          </div>
        </section>
      )}
      {deleting && (
        <Suspense>
          <DeleteTopic topic={topic} onClose={close} />
        </Suspense>
      )}
    </div>
  );
}
