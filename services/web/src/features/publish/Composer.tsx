import { Button, Group, JsonInput, SegmentedControl, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Suspense, useEffect, useId, useState } from "react";
import { useLocation } from "wouter";
import type { NewNotification, Priority } from "@/api/types";
import { notify } from "@/components/notify";
import { Problem } from "@/components/Problem";
import { offlinePart } from "@/components/parts";
import { useAskBeforeClosing } from "@/context/leaving";
import { subscriptionsQuery } from "@/context/queries";
import { useOwn, useServices } from "@/context/services";
import classes from "./Composer.module.css";
import { BLANK, draftName, isBlank, isEmpty, keptOf, parseData, type Written } from "./draft";

const Markdown = offlinePart(() => import("@/components/Markdown"));

/** Where it goes: a topic, or a person whom the form asks for. */
type Target = { topic: string } | "person";

interface Props {
  target: Target;
  onClose: () => void;
}

/** Write a notification. It is sent at once, or kept and sent when that can be; a closed form keeps what was written. */
export default function Composer({ target, onClose }: Props) {
  const { live } = useOwn();
  const name = draftName(target === "person" ? undefined : target.topic);
  const [written, setWritten] = useState(() => live.drafts.read(name, BLANK));
  const { to, title, body, text, withData, priority } = written;
  const set = (change: Partial<Written>) => setWritten((held) => ({ ...held, ...change }));
  /** A message that was refused may be meant for another topic. */
  const [asksTopic] = useState(target !== "person" && to !== "");
  const [, navigate] = useLocation();
  const [preview, setPreview] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const parsed = parseData(withData ? text : "");
  const draft: NewNotification = { title: title.trim(), body, priority };
  const data = parsed.data && text;
  const ready =
    !isEmpty({ ...draft, data: parsed.data ?? null }) &&
    parsed.problem === "" &&
    ((target !== "person" && !asksTopic) || to.trim() !== "");
  const kept = keptOf(written, target === "person");

  useEffect(() => live.drafts.keep(name, kept, BLANK), [live, name, kept]);

  const unsent = !isBlank(kept);
  useAskBeforeClosing(unsent);
  const close = () => {
    if (unsent) notify("Kept as a draft until you close this window.");
    onClose();
  };
  const discard = () => {
    live.drafts.discard(name);
    onClose();
  };
  const submit = () => {
    if (!ready) return;
    const topic = target === "person" ? "" : asksTopic ? to.trim() : target.topic;
    try {
      if (target === "person") live.outbox.send(to.trim(), draft, data);
      else live.outbox.publish(topic, draft, data);
    } catch (failure) {
      setError(failure);
      return;
    }
    if (live.connection.state.get() !== "live") notify("Kept: it is sent when the connection is back.", "warning");
    discard();
    if (target !== "person" && topic !== target.topic) navigate(`/topics/${encodeURIComponent(topic)}`);
  };

  return (
    <form
      className={classes.form}
      aria-label={target === "person" ? "New direct message" : `Publish to ${target.topic}`}
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") close();
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
      }}
    >
      <Stack gap="sm" className={classes.inner}>
        <Problem error={error} />
        {target === "person" && (
          <TextInput
            label="To"
            placeholder="Email or user id"
            required
            withAsterisk={false}
            autoFocus
            maxLength={320}
            value={to}
            onChange={(event) => set({ to: event.currentTarget.value })}
          />
        )}
        {asksTopic && <TopicInput value={to} onChange={(topic) => set({ to: topic })} />}
        <TextInput
          label="Title"
          dir="auto"
          autoFocus={target !== "person"}
          maxLength={200}
          value={title}
          onChange={(event) => set({ title: event.currentTarget.value })}
        />
        {preview ? (
          <section aria-label="Preview" className={classes.preview}>
            <Suspense>{body === "" ? <Text c="dimmed">Nothing to show yet.</Text> : <Markdown text={body} />}</Suspense>
          </section>
        ) : (
          <Textarea
            label="Body"
            dir="auto"
            description="Markdown"
            autosize
            minRows={3}
            maxRows={12}
            maxLength={65_536}
            value={body}
            onChange={(event) => set({ body: event.currentTarget.value })}
          />
        )}
        {withData && (
          <JsonInput
            label="Data"
            description="A JSON object, shown as a table"
            autosize
            minRows={3}
            maxRows={12}
            value={text}
            onChange={(value) => set({ text: value })}
            error={parsed.problem || undefined}
            classNames={{ input: classes.code ?? "" }}
          />
        )}
        <Group gap="sm" justify="space-between">
          <Group gap="xs">
            <SegmentedControl
              size="xs"
              aria-label="Priority"
              value={priority}
              onChange={(value) => set({ priority: value as Priority })}
              data={[
                { value: "low", label: "Low" },
                { value: "normal", label: "Normal" },
                { value: "high", label: "High" },
                { value: "urgent", label: "Urgent" },
              ]}
            />
            <Button size="xs" variant="subtle" aria-pressed={preview} onClick={() => setPreview(!preview)}>
              {preview ? "Edit" : "Preview"}
            </Button>
            <Button size="xs" variant="subtle" aria-pressed={withData} onClick={() => set({ withData: !withData })}>
              {withData ? "Without data" : "Add data"}
            </Button>
          </Group>
          <Group gap="xs">
            {unsent && (
              <Button size="xs" variant="subtle" color="red" onClick={discard}>
                Discard
              </Button>
            )}
            <Button size="xs" variant="default" onClick={close}>
              Close
            </Button>
            <Button size="xs" type="submit" disabled={!ready}>
              {target === "person" ? "Send" : "Publish"}
            </Button>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}

/** The name of a topic; those that one subscribes to are offered. */
function TopicInput({ value, onChange }: { value: string; onChange: (topic: string) => void }) {
  const { api } = useServices();
  const subscriptions = useQuery(subscriptionsQuery(api));
  const offered = useId();
  return (
    <>
      <TextInput
        label="Topic"
        required
        withAsterisk={false}
        maxLength={128}
        list={offered}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
      <datalist id={offered}>
        {subscriptions.data?.map(({ topic }) => (
          <option key={topic} value={topic} />
        ))}
      </datalist>
    </>
  );
}
