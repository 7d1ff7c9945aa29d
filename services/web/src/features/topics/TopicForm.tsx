import { Alert, Button, NumberInput, SegmentedControl, Select, Switch, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { sentence } from "@/api/errors";
import type { DescribedTopic, EmailMode } from "@/api/types";
import { notify } from "@/components/notify";
import { useChanged } from "@/context/queries";
import { useOwn, useServices } from "@/context/services";
import { DurationInput } from "./DurationInput";
import { EMAIL_MODES } from "./emailModes";
import { fieldsOf, patchOf, type TopicFields, UNITS } from "./fields";
import { GrantsInput } from "./GrantsInput";
import classes from "./TopicSettings.module.css";

const WHO = "Emails, user ids, or * for everyone who is signed in";

/** Everything that can be set of a topic; disabled where it can only be read. */
export function TopicForm({ topic, editable }: { topic: DescribedTopic; editable: boolean }) {
  const { api } = useServices();
  const changed = useChanged();
  const before = fieldsOf(topic);
  const { drafts } = useOwn().live;
  const draft = `settings.${topic.name}`;
  const [fields, setFields] = useState(() => (editable ? drafts.read(draft, before) : before));
  const patch = patchOf(before, fields);
  const dirty = Object.keys(patch).length > 0;
  const set = (change: Partial<TopicFields>) => {
    const after = { ...fields, ...change };
    setFields(after);
    drafts.keep(draft, after, before);
  };
  const save = useMutation({
    mutationFn: () => api.PATCH("/api/v1/topics/{name}", { params: { path: { name: topic.name } }, body: patch }),
    onSuccess: async () => {
      drafts.discard(draft);
      notify("Saved.");
      await Promise.all([changed("topic", topic.name), changed("topics")]);
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
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
        <Access fields={fields} set={set} editable={editable} names={topic.names} />
        <section className={classes.section}>
          <h2>Retention</h2>
          <p className={classes.hint}>Whichever bound is reached first removes the oldest notifications.</p>
          <div className={classes.pair}>
            <DurationInput
              label="Keep for"
              min={UNITS.minutes}
              max={3650 * UNITS.days}
              seconds={fields.keepSeconds}
              onChange={(keepSeconds) => set({ keepSeconds })}
            />
            <NumberInput
              label="Keep at most"
              suffix=" notifications"
              min={1}
              max={10_000_000}
              allowDecimal={false}
              thousandSeparator=","
              value={fields.keepCount}
              onChange={(value) => set({ keepCount: Number(value) })}
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
              label="Unread counts after"
              max={7 * UNITS.days}
              seconds={fields.unreadAfterSeconds}
              onChange={(unreadAfterSeconds) => set({ unreadAfterSeconds })}
            />
            <DurationInput
              label="A digest every"
              max={30 * UNITS.days}
              seconds={fields.digestEverySeconds}
              onChange={(digestEverySeconds) => set({ digestEverySeconds })}
            />
          </div>
        </section>
      </fieldset>
      {editable && (
        <div className={classes.save}>
          {save.error !== null && (
            <Alert color="red" role="alert" mb="sm">
              {sentence(save.error)}
            </Alert>
          )}
          <Button type="submit" disabled={!dirty} loading={save.isPending}>
            Save changes
          </Button>
          {dirty && (
            <Button
              variant="subtle"
              color="red"
              ml="xs"
              onClick={() => {
                drafts.discard(draft);
                setFields(before);
              }}
            >
              Discard changes
            </Button>
          )}
        </div>
      )}
    </form>
  );
}

interface AccessProps {
  fields: TopicFields;
  set: (change: Partial<TopicFields>) => void;
  editable: boolean;
  names: Readonly<Record<string, string>>;
}

function Access({ fields, set, editable, names }: AccessProps) {
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
        description="They change the topic, publish to it and see who is subscribed"
        disabled={!editable}
        names={names}
        value={fields.creators}
        onChange={(creators) => set({ creators })}
      />
    </section>
  );
}
