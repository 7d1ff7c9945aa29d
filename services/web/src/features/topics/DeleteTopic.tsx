import { Alert, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import type { Topic } from "@/api/types";
import { Dialog } from "@/components/Dialog";
import { Problem } from "@/components/Problem";
import { useRelease } from "@/context/leaving";
import { useChanged } from "@/context/queries";
import { useOwn, useServices } from "@/context/services";
import { plural } from "@/model/text";

/** Says what is lost, and wants the name typed. */
export default function DeleteTopic({ topic, onClose }: { topic: Topic; onClose: () => void }) {
  const { api } = useServices();
  const changed = useChanged();
  const [, go] = useLocation();
  const release = useRelease();
  const { drafts } = useOwn().live;
  const [typed, setTyped] = useState("");
  const kept = Math.max(topic.last_seq - topic.first_seq + 1, 0);
  const remove = useMutation({
    mutationFn: () => api.DELETE("/api/v1/topics/{name}", { params: { path: { name: topic.name } } }),
    onSuccess: async () => {
      release();
      drafts.discard(`settings.${topic.name}`);
      go("/topics");
      await Promise.all([changed("topics"), changed("subscriptions")]);
    },
  });
  return (
    <Dialog onClose={onClose} title={`Delete ${topic.name}?`}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (typed === topic.name) remove.mutate();
        }}
      >
        <Stack gap="md">
          <Alert icon={<IconAlertTriangle />} color="red" title="This cannot be undone">
            {kept > 0 ? `Up to ${plural(kept, "notification")} kept in it` : "The topic"}, every subscription to it, and
            what is unread there are lost, for everyone. Programs that publish to it are refused from then on.
          </Alert>
          <Problem error={remove.error} />
          <TextInput
            label={
              <Text span inherit>
                Type <strong>{topic.name}</strong> to confirm
              </Text>
            }
            data-autofocus
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
          />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              Keep it
            </Button>
            <Button color="red" type="submit" loading={remove.isPending} disabled={typed !== topic.name}>
              Delete topic
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  );
}
