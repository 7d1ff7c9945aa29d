import "@mantine/core/styles/PasswordInput.css";
import { Alert, Anchor, Button, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { Link, Redirect, useLocation } from "wouter";
import { notify } from "@/components/notify";
import { Problem } from "@/components/Problem";
import { useObservable, useServices } from "@/context/services";
import { EntryPage, Slow } from "./EntryPage";
import { LEAST_PASSWORD, MAX_PASSWORD, signUp } from "./entry";
import { problemsOf } from "./problems";
import { useLinkState } from "./useLinkState";
import { useLinkToken } from "./useLinkToken";

/** Sign in, or sign up at /sign-up: every other address asks to sign in first and is kept for afterwards. */
export default function SignInPage() {
  const [location] = useLocation();
  const { config } = useServices();
  const signingUp = location === "/sign-up";
  if (signingUp && !config.sign_up) return <Redirect to="/sign-in" replace />;
  return (
    <EntryPage title={signingUp ? "Create your account" : "Sign in"} aside={<Aside signingUp={signingUp} />}>
      <Form key={location} signingUp={signingUp} confirming={location === "/confirm-email"} />
    </EntryPage>
  );
}

function Form({ signingUp, confirming }: { signingUp: boolean; confirming: boolean }) {
  const { session } = useServices();
  const ended = useObservable(session.ended);
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const wrong = problemsOf(error, signingUp ? ["name", "email", "password"] : ["email", "password"]);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const made = signingUp ? await signUp({ email: email.trim(), password, name: name.trim() }) : null;
      await session.signIn(email.trim(), password);
      if (made && made.mail_detail !== "") notify(made.mail_detail, "warning");
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };

  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <Title order={1} size="h3">
          {signingUp ? "Create your account" : "Sign in"}
        </Title>
        {!signingUp && (
          <Text size="sm" c="dimmed">
            Notifyx brings you what programs and people publish, live here and by email.
          </Text>
        )}
        {ended !== "" && error === null && <Alert color="gray">{ended}</Alert>}
        {confirming && error === null && <Confirming />}
        <Problem error={wrong.general} />
        {signingUp && (
          <TextInput
            label="Name"
            autoFocus
            description="What others see beside what you publish"
            autoComplete="name"
            maxLength={200}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={wrong.of("name")}
          />
        )}
        <TextInput
          label="Email"
          type="email"
          required
          withAsterisk={false}
          autoComplete="username"
          autoFocus={!signingUp}
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
          error={wrong.of("email")}
        />
        <PasswordInput
          label="Password"
          description={signingUp ? `At least ${LEAST_PASSWORD} characters` : undefined}
          required
          withAsterisk={false}
          minLength={signingUp ? LEAST_PASSWORD : undefined}
          maxLength={MAX_PASSWORD}
          autoComplete={signingUp ? "new-password" : "current-password"}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          error={wrong.of("password")}
        />
        <Slow busy={busy} />
        <Button type="submit" loading={busy} fullWidth>
          {signingUp ? "Create account" : "Sign in"}
        </Button>
        {!signingUp && (
          <Text ta="center" size="sm">
            <Anchor component={Link} href="/forgot-password" inherit td="underline">
              Forgot your password?
            </Anchor>
          </Text>
        )}
      </Stack>
    </form>
  );
}

/** Above the form for who opened the link that confirms a new address, which needs a session. */
function Confirming() {
  const link = useLinkToken();
  if (useLinkState("email_change", link) === "ended") {
    return (
      <Alert color="yellow" role="alert">
        This link does not work: it was used already, has expired, or was replaced by a newer one. Sign in to see the
        address of your account, and to have another mail sent.
      </Alert>
    );
  }
  return <Alert color="gray">Sign in as before to confirm the new address of your account.</Alert>;
}

function Aside({ signingUp }: { signingUp: boolean }) {
  const { config } = useServices();
  if (signingUp) {
    return (
      <Text ta="center" size="sm">
        You have an account?{" "}
        <Anchor component={Link} href="/sign-in" inherit td="underline">
          Sign in
        </Anchor>
      </Text>
    );
  }
  if (!config.sign_up) {
    return (
      <Text ta="center" size="sm" c="dimmed">
        Accounts are made by your administrator.
      </Text>
    );
  }
  return (
    <Text ta="center" size="sm">
      New here?{" "}
      <Anchor component={Link} href="/sign-up" inherit td="underline">
        Create an account
      </Anchor>
    </Text>
  );
}
