import { Button, Group, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { useLocation } from "wouter";
import { data } from "@/api/client";
import { ApiError, sentence } from "@/api/errors";
import { Dialog } from "@/components/Dialog";
import { notify } from "@/components/notify";
import { Problem } from "@/components/Problem";
import { useChanged } from "@/context/queries";
import { useServices } from "@/context/services";
import { NEW, nameProblem, newTopic } from "./fields";

/** Name, title and who sees it; the rest has defaults and is in the topic's settings. */
export default function CreateTopic({ onClose }: { onClose: () => void }) {
  const { api } = useServices();
  const changed = useChanged();
  const [, go] = useLocation();
  const [name, setName] = useState("");
  const [title, setTitle] = useState("");
  const [visibility, setVisibility] = useState<"public" | "private">("public");
  /** The name of a topic that may have been made, though no answer said so. */
  const maybeMade = useRef("");
  const params = { path: { name } };
  const make = async () => {
    try {
      await api.POST("/api/v1/topics", { body: newTopic(name, { ...NEW, title: title.trim(), visibility }) });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.outage) maybeMade.current = name;
      if (error.code !== "topic_exists" || maybeMade.current !== name) throw error;
      if (!(await data(api.GET("/api/v1/topics/{name}", { params }))).can_manage) throw error;
    }
  };
  const create = useMutation({
    mutationFn: async () => {
      await make();
      // Who makes a topic wants to see what comes there.
      await api
        .PUT("/api/v1/topics/{name}/subscription", { params, body: {} })
        .catch((error) => notify(`The topic is made, but you are not subscribed yet. ${sentence(error)}`, "warning"));
    },
    onSuccess: async () => {
      await Promise.all([changed("topics"), changed("subscriptions")]);
      go(`/topics/${name}`);
    },
  });
  return (
    <Dialog onClose={onClose} title="New topic">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create.mutate();
        }}
      >
        <Stack gap="md">
          <Problem error={create.error} />
          <TextInput
            label="Name"
            description="What programs publish to; it cannot be changed later"
            placeholder="team.deploys"
            required
            withAsterisk={false}
            data-autofocus
            maxLength={128}
            value={name}
            onChange={(event) => setName(event.currentTarget.value.trim())}
            error={nameProblem(name) || undefined}
          />
          <TextInput
            label="Title"
            dir="auto"
            description="For people; may be empty"
            maxLength={200}
            value={title}
            onChange={(event) => setTitle(event.currentTarget.value)}
          />
          <div>
            <SegmentedControl
              fullWidth
              size="sm"
              aria-label="Visibility"
              value={visibility}
              onChange={(value) => setVisibility(value as "public" | "private")}
              data={[
                { value: "public", label: "Public" },
                { value: "private", label: "Private" },
              ]}
            />
            <Text size="sm" c="dimmed" mt={6}>
              {visibility === "public"
                ? "Everyone who is signed in may read it and subscribe."
                : "Only you may read it, and those you allow in its settings."}
            </Text>
          </div>
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending} disabled={name === "" || nameProblem(name) !== ""}>
              Create topic
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  );
}
