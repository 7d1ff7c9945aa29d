import { Button, SegmentedControl, Select, Switch, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import type { Api } from "@/api/client";
import { historyPage } from "@/api/pages";
import type { DescribedTopic, EmailMode } from "@/api/types";
import { notify } from "@/components/notify";
import { Problem } from "@/components/Problem";
import { useAskBeforeLeaving } from "@/context/leaving";
import { useChanged } from "@/context/queries";
import { useOwn, useServices } from "@/context/services";
import { Confirm } from "@/features/account/Confirm";
import { AskToLeave } from "./AskToLeave";
import { DurationInput } from "./DurationInput";
import { EMAIL_MODES } from "./emailModes";
import {
  boundProblem,
  canBeSaved,
  creatorsProblem,
  fieldsOf,
  type Kept,
  namesAddress,
  patchOf,
  removalOf,
  type TopicFields,
  typedNumber,
} from "./fields";
import { GrantsInput } from "./GrantsInput";
import { NumberField } from "./NumberField";
import classes from "./TopicSettings.module.css";

const ADDRESSES = "An address counts once its owner has signed up with it and verified it.";
const WHO = `Email addresses, user ids, or * for everyone who is signed in. ${ADDRESSES}`;

/** Everything that can be set of a topic; disabled where it can only be read. */
export function TopicForm({ topic, editable }: { topic: DescribedTopic; editable: boolean }) {
  const { api, clock } = useServices();
  const changed = useChanged();
  const before = fieldsOf(topic);
  const { drafts } = useOwn().live;
  const draft = `settings.${topic.name}`;
  const [fields, setFields] = useState(() => (editable ? drafts.read(draft, before) : before));
  const patch = patchOf(before, fields);
  const dirty = Object.keys(patch).length > 0;
  const { leave, stay } = useAskBeforeLeaving(dirty);
  const set = (change: Partial<TopicFields>) => {
    const after = { ...fields, ...change };
    setFields(after);
    drafts.keep(draft, after, before);
  };
  const discard = () => {
    drafts.discard(draft);
    setFields(before);
    check.reset();
    save.reset();
  };
  /** What saving would remove; null while nothing is asked. */
  const [removal, setRemoval] = useState<string | null>(null);
  const save = useMutation({
    mutationFn: () => api.PATCH("/api/v1/topics/{name}", { params: { path: { name: topic.name } }, body: patch }),
    onSuccess: async () => {
      drafts.discard(draft);
      notify(namesAddress(patch) ? `Saved. ${ADDRESSES}` : "Saved.");
      await Promise.all([changed("topic", topic.name), changed("topics")]);
    },
  });
  const check = useMutation({
    mutationFn: async () =>
      patch.retention === undefined ? "" : removalOf(before, fields, await keptNow(api, topic.name), clock.now()),
    onSuccess: (removed) => {
      if (removed === "") save.mutate();
      else setRemoval(removed);
    },
  });
  const failed = check.error ?? save.error;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (canBeSaved(before, fields)) check.mutate();
      }}
    >
      <fieldset disabled={!editable} className={classes.fieldset}>
        <section className={classes.section}>
          <h2>General</h2>
          <TextInput
            label="Title"
            dir="auto"
            maxLength={200}
            value={fields.title}
            onChange={(event) => set({ title: event.currentTarget.value })}
          />
          <Switch
            label="Paused"
            description="Nothing can be published while a topic is paused"
            checked={fields.paused}
            onChange={(event) => set({ paused: event.currentTarget.checked })}
          />
        </section>
        <Access
          fields={fields}
          set={set}
          editable={editable}
          names={topic.names}
          creatorsProblem={creatorsProblem(before, fields)}
        />
        <section className={classes.section}>
          <h2>Retention</h2>
          <p className={classes.hint}>Whichever bound is reached first removes the oldest notifications.</p>
          <div className={classes.pair}>
            <DurationInput
              label="Keep for"
              field="keepSeconds"
              seconds={fields.keepSeconds}
              onChange={(keepSeconds) => set({ keepSeconds })}
            />
            <NumberField
              label="Keep at most"
              error={boundProblem("keepCount", fields.keepCount) || undefined}
              value={fields.keepCount}
              read={typedNumber}
              write={(value) => value.toLocaleString("en")}
              onChange={(keepCount) => set({ keepCount })}
              rightSectionWidth={112}
              rightSection={<span className={classes.hint}>notifications</span>}
            />
          </div>
        </section>
        <section className={classes.section}>
          <h2>Email</h2>
          <Select
            label="New subscribers get email"
            data={Object.entries(EMAIL_MODES).map(([value, words]) => ({ value, label: words.long }))}
            allowDeselect={false}
            disabled={!editable}
            value={fields.emailDefault}
            onChange={(value) => value !== null && set({ emailDefault: value as EmailMode })}
          />
          <div className={classes.pair}>
            <DurationInput
              label="Email what is unread after"
              field="unreadAfterSeconds"
              seconds={fields.unreadAfterSeconds}
              onChange={(unreadAfterSeconds) => set({ unreadAfterSeconds })}
            />
            <DurationInput
              label="A digest every"
              field="digestEverySeconds"
              seconds={fields.digestEverySeconds}
              onChange={(digestEverySeconds) => set({ digestEverySeconds })}
            />
          </div>
        </section>
      </fieldset>
      {editable && (
        <div className={classes.save}>
          <Problem error={removal === null ? failed : null} />
          <Button
            type="submit"
            disabled={!dirty || !canBeSaved(before, fields)}
            loading={check.isPending || save.isPending}
          >
            Save changes
          </Button>
          {dirty && (
            <Button variant="subtle" color="red" ml="xs" onClick={discard}>
              Discard changes
            </Button>
          )}
        </div>
      )}
      {leave !== null && (
        <AskToLeave
          name={topic.name}
          onStay={stay}
          onDiscard={() => {
            discard();
            leave();
          }}
          onLeave={leave}
        />
      )}
      {removal !== null && (
        <Confirm
          title={`Keep less in ${topic.name}?`}
          action="Save and remove"
          error={save.error}
          busy={save.isPending}
          onClose={() => setRemoval(null)}
          onConfirm={() => save.mutate(undefined, { onSuccess: () => setRemoval(null) })}
        >
          {removal} What is removed goes for everyone, also what is unread. This cannot be undone.
        </Confirm>
      )}
    </form>
  );
}

/** Notifications may have expired in between, so the count is the most there can be. */
async function keptNow(api: Api, name: string): Promise<Kept> {
  const page = await historyPage(api, name, { after: 0, limit: 1 });
  return { count: Math.max(page.last_seq - page.first_seq + 1, 0), oldest: page.items[0]?.published_at };
}

interface AccessProps {
  fields: TopicFields;
  set: (change: Partial<TopicFields>) => void;
  editable: boolean;
  names: Readonly<Record<string, string>>;
  creatorsProblem: string;
}

function Access({ fields, set, editable, names, creatorsProblem }: AccessProps) {
  return (
    <section className={classes.section}>
      <h2>Access</h2>
      <div>
        <SegmentedControl
          aria-label="Visibility"
          disabled={!editable}
          value={fields.visibility}
          onChange={(value) => set({ visibility: value as TopicFields["visibility"] })}
          data={[
            { value: "public", label: "Public: everyone reads" },
            { value: "private", label: "Private" },
          ]}
        />
      </div>
      {fields.visibility === "private" && (
        <GrantsInput
          label="Who else reads"
          description={WHO}
          disabled={!editable}
          names={names}
          value={fields.readers}
          onChange={(readers) => set({ readers })}
        />
      )}
      <GrantsInput
        label="Who else publishes"
        description={WHO}
        disabled={!editable}
        names={names}
        value={fields.publishers}
        onChange={(publishers) => set({ publishers })}
      />
      <GrantsInput
        label="Creators"
        description={`They change the topic, publish to it and see who is subscribed. ${ADDRESSES}`}
        disabled={!editable}
        names={names}
        error={creatorsProblem || undefined}
        value={fields.creators}
        onChange={(creators) => set({ creators })}
      />
    </section>
  );
}
