import { Button } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Suspense, useState } from "react";
import { data } from "@/api/client";
import type { ApiKey, CreatedApiKey } from "@/api/types";
import { Once } from "@/components/Once";
import { Problem } from "@/components/Problem";
import { offlinePart } from "@/components/parts";
import { useChanged } from "@/context/queries";
import { useServices } from "@/context/services";
import { useNow } from "@/context/useNow";
import classes from "@/features/topics/TopicSettings.module.css";
import { fullTime, when } from "@/model/text";
import { AccountPart } from "./AccountPart";
import { Confirm } from "./Confirm";
import { publishLine, topicToTry } from "./keys";

const CreateKey = offlinePart(() => import("./CreateKey"));

/** Credentials with which programs act in one's name. */
export default function ApiKeysPage() {
  const { api } = useServices();
  const changed = useChanged();
  const [creating, { open, close }] = useDisclosure();
  const [created, setCreated] = useState<CreatedApiKey | null>(null);
  const keys = useQuery({ queryKey: ["apiKeys"], queryFn: () => data(api.GET("/api/v1/api-keys")) });
  return (
    <AccountPart title="API keys">
      <section className={classes.section}>
        <p className={classes.hint}>
          Programs send a key in place of a password. It acts in your name, for the topics and scopes you give it, until
          it expires or you delete it.
        </p>
        <div>
          <Button size="xs" leftSection={<IconPlus size={15} />} onClick={open}>
            New key
          </Button>
        </div>
        {created !== null && (
          <>
            <Once title={`${created.name}: copy the key now, it is shown once.`} lines={created.key} what=" the key" />
            <Once
              title="Try it in a terminal"
              lines={`curl -H "Authorization: Bearer ${created.key}" ${location.origin}/api/v1/me`}
              what=" the command"
            />
            {created.scopes.includes("publish") && <Publish created={created} />}
          </>
        )}
        <Problem error={keys.error} />
        {keys.data?.items.length === 0 && <p className={classes.hint}>You have no API keys.</p>}
        <ul className={classes.people} aria-label="API keys">
          {keys.data?.items.map((key) => (
            <Key
              key={key.id}
              apiKey={key}
              onDeleted={() => {
                if (created?.id === key.id) setCreated(null);
              }}
            />
          ))}
        </ul>
      </section>
      {creating && (
        <Suspense>
          <CreateKey
            onClose={close}
            onCreated={(key) => {
              setCreated(key);
              close();
              void changed("apiKeys");
            }}
          />
        </Suspense>
      )}
    </AccountPart>
  );
}

function Publish({ created }: { created: CreatedApiKey }) {
  const topic = topicToTry(created.topics);
  const fill = topic.includes("TOPIC") ? ", with a topic's name in place of TOPIC" : "";
  return (
    <Once
      title={`Publish with it${fill}`}
      lines={publishLine(location.origin, created.key, topic)}
      what=" the line that publishes"
    />
  );
}

function Key({ apiKey, onDeleted }: { apiKey: ApiKey; onDeleted: () => void }) {
  const { api } = useServices();
  const changed = useChanged();
  const now = useNow();
  const [asked, { open, close }] = useDisclosure();
  const remove = useMutation({
    mutationFn: () => api.DELETE("/api/v1/api-keys/{key_id}", { params: { path: { key_id: apiKey.id } } }),
    onSuccess: () => {
      onDeleted();
      return changed("apiKeys");
    },
  });
  return (
    <li>
      <span>
        <bdi>{apiKey.name}</bdi>
        <br />
        <span className={classes.hint}>
          {apiKey.scopes.join(", ")}: {apiKey.topics.length === 0 ? "all topics" : apiKey.topics.join(", ")}
        </span>
      </span>
      <span>
        <span className={classes.hint}>
          {apiKey.last_used_at === null ? "not used yet" : `last used ${when(apiKey.last_used_at, now)}`},{" "}
          {expiry(apiKey.expires_at, now)}
        </span>{" "}
        <Button
          size="compact-xs"
          variant="subtle"
          color="red"
          aria-label={`Delete the key ${apiKey.name}`}
          onClick={open}
        >
          Delete
        </Button>
      </span>
      {asked && (
        <Confirm
          title={`Delete the key ${apiKey.name}?`}
          action="Delete key"
          error={remove.error}
          busy={remove.isPending}
          onClose={close}
          onConfirm={() => remove.mutate()}
        >
          What programs have open with it ends within two seconds, and they are refused from then on. This cannot be
          undone.
        </Confirm>
      )}
    </li>
  );
}

function expiry(at: string | null, now: number): string {
  if (at === null) return "never expires";
  return `${new Date(at).getTime() <= now ? "expired" : "expires"} ${fullTime(at)}`;
}
