import "@mantine/core/styles/InlineInput.css";
import "@mantine/core/styles/PasswordInput.css";
import "@mantine/core/styles/Radio.css";
import { Alert, Button, Group, PasswordInput, Radio, Stack, TextInput } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Dialog } from "@/components/Dialog";
import { notify } from "@/components/notify";
import { Problem } from "@/components/Problem";
import { useOwn, useServices } from "@/context/services";
import { MAX_PASSWORD } from "./entry";
import { problemsOf } from "./problems";

type Fate = "delete" | "keep" | "give";

/** Asks what becomes of one's topics, and for the password. */
export default function DeleteAccount({ onClose }: { onClose: () => void }) {
  const { api, session } = useServices();
  const { user } = useOwn();
  const [fate, setFate] = useState<Fate | null>(null);
  const [heir, setHeir] = useState("");
  const [password, setPassword] = useState("");
  const remove = useMutation({
    mutationFn: async () => {
      const topics = fate === "give" ? { give_to: heir.trim() } : (fate ?? "keep");
      await session.whileEnding(async () => {
        await api.DELETE("/api/v1/me", { body: { password, topics } });
        // The account is gone whatever becomes of this: the session has ended with it.
        await session.signOut();
      });
      notify(`The account of ${user.email} is deleted.`);
    },
  });
  const wrong = problemsOf(remove.error, ["password", "topics.give_to"]);
  const ready = fate !== null && password !== "" && (fate !== "give" || heir.trim() !== "");
  return (
    <Dialog onClose={onClose} title="Delete your account?">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) remove.mutate();
        }}
      >
        <Stack gap="md">
          <Alert icon={<IconAlertTriangle />} color="red" title="This cannot be undone">
            The account of <span style={{ overflowWrap: "anywhere" }}>{user.email}</span> ends at once, everywhere.
            Programs that use its API keys and webhooks are refused from then on. What you published in topics that
            remain stays, and names you “Deleted user” within twenty minutes.
          </Alert>
          <Problem error={wrong.general} />
          <Radio.Group label="Topics that you alone manage" value={fate} onChange={(value) => setFate(value as Fate)}>
            <Stack gap={8} mt={8}>
              <Radio
                value="delete"
                label="Delete them"
                description="With all their notifications; their subscribers see that they are gone"
              />
              <Radio value="keep" label="Keep them" description="From then on only administrators can change them" />
              <Radio
                value="give"
                label="Give them to somebody"
                description="With an account and a verified address. They get those to which they subscribe; only administrators can change the others"
              />
            </Stack>
          </Radio.Group>
          {fate === "give" && (
            <TextInput
              label="Their email address"
              type="email"
              autoComplete="off"
              value={heir}
              onChange={(event) => setHeir(event.currentTarget.value)}
              error={wrong.of("topics.give_to")}
            />
          )}
          <PasswordInput
            label="Your password"
            autoComplete="current-password"
            maxLength={MAX_PASSWORD}
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            error={wrong.of("password")}
          />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose} data-autofocus>
              Keep my account
            </Button>
            <Button color="red" type="submit" loading={remove.isPending} disabled={!ready}>
              Delete my account
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  );
}
