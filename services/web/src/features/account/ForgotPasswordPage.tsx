import { Alert, Anchor, Button, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { Problem } from "@/components/Problem";
import { useServices } from "@/context/services";
import { EntryPage, Slow } from "./EntryPage";
import { requestPasswordReset } from "./entry";
import { problemsOf } from "./problems";

/** Asks for an address, and has a link mailed there that sets a new password. */
export default function ForgotPasswordPage() {
  const { config } = useServices();
  const [email, setEmail] = useState("");
  const ask = useMutation({ mutationFn: () => requestPasswordReset(email.trim()) });
  const wrong = problemsOf(ask.error, ["email"]);
  return (
    <EntryPage title="Forgot your password?" aside={<BackToSignIn />}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          ask.mutate();
        }}
      >
        <Stack gap="md">
          <Title order={1} size="h3">
            Forgot your password?
          </Title>
          {config.email === false && (
            <Alert color="gray">
              This deployment does not send email at present, so it cannot send you a link. Ask its administrator.
            </Alert>
          )}
          {config.email !== false && (
            <Text size="sm">
              Enter the address of your account. You get a mail with a link to a page where you choose a new password.
            </Text>
          )}
          <Problem error={wrong.general} />
          {ask.isSuccess && (
            <Alert color="pine" role="status">
              If there is an account with this address, a mail is on its way to it. Its link works once, for a limited
              time. If none comes within minutes, look among unwanted mail, and check the address.
            </Alert>
          )}
          {config.email !== false && (
            <>
              <TextInput
                label="Email"
                type="email"
                required
                withAsterisk={false}
                autoComplete="username"
                autoFocus
                maxLength={254}
                value={email}
                onChange={(event) => {
                  setEmail(event.currentTarget.value);
                  ask.reset();
                }}
                error={wrong.of("email")}
              />
              <Slow busy={ask.isPending} />
              <Button type="submit" loading={ask.isPending} fullWidth>
                Send the link
              </Button>
            </>
          )}
        </Stack>
      </form>
    </EntryPage>
  );
}

export function BackToSignIn() {
  return (
    <Text ta="center" size="sm">
      <Anchor component={Link} href="/sign-in" inherit td="underline">
        Back to sign in
      </Anchor>
    </Text>
  );
}
