import "@mantine/core/styles/Pill.css";
import "@mantine/core/styles/PillsInput.css";
import "@mantine/core/styles/InlineInput.css";
import "@mantine/core/styles/Combobox.css";
import "@mantine/core/styles/Checkbox.css";
import { Button, Checkbox, Group, NativeSelect, Stack, TagsInput, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { data } from "@/api/client";
import type { CreatedApiKey, Scope } from "@/api/types";
import { Dialog } from "@/components/Dialog";
import { Problem } from "@/components/Problem";
import { useServices } from "@/context/services";
import { LIFETIMES, patternProblem, SCOPES } from "./keys";

const SUGGESTED = 20;
const TYPING_MS = 250;
const DAY_MS = 86_400_000;

/** What a new key is for, what it may do, and for how long. */
export default function CreateKey(props: { onClose: () => void; onCreated: (key: CreatedApiKey) => void }) {
  const { api, clock } = useServices();
  const [name, setName] = useState("");
  const [topics, setTopics] = useState<string[]>([]);
  const [typed, setTyped] = useState("");
  const [scopes, setScopes] = useState<Scope[]>(["read", "publish"]);
  const [days, setDays] = useState("90");
  const wrong = topics.map(patternProblem).find((problem) => problem !== "") ?? "";
  const create = useMutation({
    mutationFn: () => {
      const expires_at = days === "" ? null : new Date(clock.now() + Number(days) * DAY_MS).toISOString();
      return data(api.POST("/api/v1/api-keys", { body: { name: name.trim(), topics, scopes, expires_at } }));
    },
    onSuccess: props.onCreated,
  });
  return (
    <Dialog onClose={props.onClose} title="New API key">
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
            description="What it is for"
            placeholder="Build server"
            dir="auto"
            required
            withAsterisk={false}
            data-autofocus
            maxLength={100}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <TagsInput
            label="Topics"
            description="Names, or patterns such as shop.*; none: all topics"
            placeholder={topics.length === 0 ? "All topics" : ""}
            data={useSuggestions(typed)}
            value={topics}
            onChange={setTopics}
            searchValue={typed}
            onSearchChange={setTyped}
            error={wrong || undefined}
          />
          <Checkbox.Group
            label="It may"
            value={scopes}
            onChange={(chosen) => setScopes(chosen as Scope[])}
            error={scopes.length === 0 ? "Choose one at least." : undefined}
          >
            <Stack gap={6} mt={6}>
              {SCOPES.map(({ scope, label }) => (
                <Checkbox key={scope} size="xs" value={scope} label={label} />
              ))}
            </Stack>
          </Checkbox.Group>
          <NativeSelect
            label="It expires"
            value={days}
            onChange={(event) => setDays(event.currentTarget.value)}
            data={LIFETIMES}
          />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={props.onClose}>
              Cancel
            </Button>
            <Button
              type="submit"
              loading={create.isPending}
              disabled={name.trim() === "" || scopes.length === 0 || wrong !== ""}
            >
              Create key
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  );
}

/** Names of topics that contain what is typed; none before, since their list would lie over the rest of the form. */
function useSuggestions(typed: string): string[] {
  const { api } = useServices();
  const [wanted] = useDebouncedValue(typed.trim().toLowerCase(), TYPING_MS);
  const topics = useQuery({
    queryKey: ["topics", "names", wanted],
    queryFn: () => {
      const query = { limit: SUGGESTED, q: wanted };
      return data(api.GET("/api/v1/topics", { params: { query } }));
    },
    placeholderData: keepPreviousData,
    enabled: wanted !== "",
  });
  if (typed.trim() === "") return [];
  return topics.data?.items.map((topic) => topic.name) ?? [];
}
