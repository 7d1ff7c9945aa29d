import "@mantine/core/styles/InlineInput.css";
import "@mantine/core/styles/PasswordInput.css";
import "@mantine/core/styles/Switch.css";
import { Button, Loader, PasswordInput, Stack, Switch, Text, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { Problem } from "@/components/Problem";
import { EntryPage, Slow } from "./EntryPage";
import { LEAST_PASSWORD, MAX_PASSWORD, resetPassword } from "./entry";
import { BackToSignIn } from "./ForgotPasswordPage";
import { problemsOf } from "./problems";
import { isEnded, useLinkState } from "./useLinkState";
import { type OpenedLink, useLinkToken } from "./useLinkToken";

const ENDED =
  "It was used already, has expired, or was replaced by a newer one. Look for the newest mail with the subject “Set a new password”";

/** Sets a new password with the link from a mail. */
export default function ResetPasswordPage() {
  const link = useLinkToken();
  return <NewPassword key={link.opened} link={link} />;
}

function NewPassword({ link }: { link: OpenedLink }) {
  const { token } = link;
  const [password, setPassword] = useState("");
  const [everything, setEverything] = useState(false);
  const set = useMutation({
    mutationFn: () => resetPassword({ token, new_password: password, end_credentials: everything }),
  });
  const wrong = problemsOf(set.error, ["new_password"]);
  const state = useLinkState("password_reset", link);
  if (set.isSuccess) return <Done />;
  if (token === "") return <Useless title="This link is not complete" advice="Open the whole link from the mail" />;
  if (state === "ended" || isEnded(set.error)) {
    return <Useless title="This link does not work any more" advice={ENDED} />;
  }
  if (state === "checking") return <Checking />;
  return (
    <EntryPage title="Choose a new password" aside={<BackToSignIn />}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          set.mutate();
        }}
      >
        <Stack gap="md">
          <Title order={1} size="h3">
            Choose a new password
          </Title>
          <Text size="sm">Every device that is signed in to your account is then signed out.</Text>
          <Problem error={wrong.general} />
          <PasswordInput
            label="New password"
            description={`At least ${LEAST_PASSWORD} characters`}
            required
            withAsterisk={false}
            autoFocus
            minLength={LEAST_PASSWORD}
            maxLength={MAX_PASSWORD}
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            error={wrong.of("new_password")}
          />
          <Switch
            label="Delete my API keys and webhooks too"
            description="In case somebody else knew your password. Programs that use them are then refused."
            checked={everything}
            onChange={(event) => setEverything(event.currentTarget.checked)}
          />
          <Slow busy={set.isPending} />
          <Button type="submit" loading={set.isPending} fullWidth>
            Set the password
          </Button>
        </Stack>
      </form>
    </EntryPage>
  );
}

function Done() {
  return (
    <EntryPage title="Your password is set">
      <Stack gap="md" role="status">
        <Title order={1} size="h3">
          Your password is set
        </Title>
        <Text size="sm">Sign in with it on each of your devices.</Text>
        <Button component={Link} href="/sign-in" fullWidth>
          Sign in
        </Button>
      </Stack>
    </EntryPage>
  );
}

function Checking() {
  return (
    <EntryPage title="Choose a new password" aside={<BackToSignIn />}>
      <Loader size="sm" role="img" aria-label="Checking the link" />
    </EntryPage>
  );
}

function Useless({ title, advice }: { title: string; advice: string }) {
  return (
    <EntryPage title={title} aside={<BackToSignIn />}>
      <Stack gap="md" role="alert">
        <Title order={1} size="h3">
          {title}
        </Title>
        <Text size="sm">{advice}, or have another mail sent.</Text>
        <Button component={Link} href="/forgot-password" variant="default" fullWidth>
          Have another mail sent
        </Button>
      </Stack>
    </EntryPage>
  );
}
