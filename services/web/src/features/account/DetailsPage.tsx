import "@mantine/core/styles/PasswordInput.css";
import { Alert, Badge, Button, PasswordInput, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { data } from "@/api/client";
import { notify } from "@/components/notify";
import { Problem } from "@/components/Problem";
import { emailChangeQuery, useChanged } from "@/context/queries";
import { useOwn, useServices } from "@/context/services";
import classes from "@/features/topics/TopicSettings.module.css";
import { fullTime } from "@/model/text";
import { AccountPart } from "./AccountPart";
import { awaitsConfirmation } from "./emailChange";
import { LEAST_PASSWORD, MAX_PASSWORD } from "./entry";
import { problemsOf } from "./problems";

/** What a user changes of the account. */
export default function DetailsPage() {
  return (
    <AccountPart title="Name, email and password">
      <Name />
      <Email />
      <Password />
    </AccountPart>
  );
}

function Name() {
  const { user } = useOwn();
  const { api, session } = useServices();
  const changed = useChanged();
  /** Null while it is as it was read, also from another device meanwhile. */
  const [typed, setTyped] = useState<string | null>(null);
  const name = typed ?? user.name;
  const save = useMutation({
    mutationFn: () => data(api.PATCH("/api/v1/me", { body: { name: name.trim() } })),
    onSuccess: async () => {
      // What is published from now on has the new name; where that fails, once the access token is renewed.
      await session.renew().catch(() => undefined);
      await changed("me");
      setTyped(null);
      notify("Your name is changed.");
    },
  });
  const wrong = problemsOf(save.error, ["name"]);
  return (
    <Form
      title="Name"
      action="Change name"
      general={wrong.general}
      busy={save.isPending}
      onSubmit={() => save.mutate()}
    >
      <TextInput
        label="Name"
        description="What others see beside what you publish"
        autoComplete="name"
        maxLength={200}
        value={name}
        onChange={(event) => setTyped(event.currentTarget.value)}
        error={wrong.of("name")}
      />
    </Form>
  );
}

function Email() {
  const { user } = useOwn();
  const { api, config } = useServices();
  const changed = useChanged();
  const change = useQuery(emailChangeQuery(api)).data;
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [asked, setAsked] = useState("");
  const save = useMutation({
    mutationFn: () => api.PUT("/api/v1/me/email", { body: { email: email.trim(), password } }),
    onSuccess: async () => {
      setAsked(email.trim());
      setEmail("");
      setPassword("");
      await changed("emailChange");
    },
  });
  const cancel = useMutation({
    mutationFn: () => data(api.DELETE("/api/v1/me/email/change")),
    onSuccess: () => notify("Your address stays as it is. The link in the mail has ended."),
    // It may have been confirmed, or have ended: then there is nothing to cancel.
    onSettled: async () => {
      setAsked("");
      await Promise.all([changed("emailChange"), changed("me")]);
    },
  });
  const wrong = problemsOf(save.error, ["email", "password"]);
  // What was asked for here, where the server does not say what awaits its confirmation.
  const awaited = change === undefined ? asked : (change.email ?? "");
  return (
    <Form
      title="Email"
      action="Change email"
      general={wrong.general}
      busy={save.isPending}
      disabled={config.email === false}
      onSubmit={() => save.mutate()}
    >
      <p className={classes.hint}>
        {user.email}{" "}
        <Badge size="xs" variant="default">
          {user.email_verified ? "Verified" : "Not verified"}
        </Badge>
      </p>
      <p className={classes.hint}>
        {config.email !== false
          ? "The new address gets a mail with a link. Open the link while you are signed in and confirm: your address changes then."
          : "This deployment does not send email at present, so a new address cannot be confirmed."}
      </p>
      {awaitsConfirmation(awaited, user.email) && (
        <Alert color="pine" role="status">
          A mail was sent to <bdi>{awaited}</bdi>. Your address stays <bdi>{user.email}</bdi> until you confirm with its
          link{change?.expires_at != null && `, which works until ${fullTime(change.expires_at)}`}. For another mail,
          enter the address again.
          <div>
            <Button size="xs" variant="default" mt="xs" loading={cancel.isPending} onClick={() => cancel.mutate()}>
              Keep my address
            </Button>
          </div>
        </Alert>
      )}
      <Problem error={cancel.error} />
      <TextInput
        label="New email"
        type="email"
        required
        withAsterisk={false}
        autoComplete="email"
        maxLength={254}
        disabled={config.email === false}
        value={email}
        onChange={(event) => setEmail(event.currentTarget.value)}
        error={wrong.of("email")}
      />
      <CurrentPassword
        value={password}
        disabled={config.email === false}
        onChange={setPassword}
        error={wrong.of("password")}
      />
    </Form>
  );
}

function Password() {
  const { user } = useOwn();
  const { api } = useServices();
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const save = useMutation({
    mutationFn: () => api.PUT("/api/v1/me/password", { body: { current_password: current, new_password: password } }),
    onSuccess: () => {
      setCurrent("");
      setPassword("");
      notify("Your password is changed. Your other devices are signed out.");
    },
  });
  const wrong = problemsOf(save.error, ["current_password", "new_password"]);
  return (
    <Form
      title="Password"
      action="Change password"
      general={wrong.general}
      busy={save.isPending}
      onSubmit={() => save.mutate()}
    >
      <p className={classes.hint}>You stay signed in here; your other devices are signed out. API keys go on.</p>
      {/* Password managers store the new one for this account. */}
      <input type="email" autoComplete="username" value={user.email} readOnly hidden />
      <CurrentPassword value={current} onChange={setCurrent} error={wrong.of("current_password")} />
      <PasswordInput
        label="New password"
        description={`At least ${LEAST_PASSWORD} characters`}
        required
        withAsterisk={false}
        minLength={LEAST_PASSWORD}
        maxLength={MAX_PASSWORD}
        autoComplete="new-password"
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
        error={wrong.of("new_password")}
      />
    </Form>
  );
}

interface CurrentProps {
  value: string;
  onChange: (value: string) => void;
  error: string | undefined;
  disabled?: boolean;
}

function CurrentPassword({ value, onChange, error, disabled = false }: CurrentProps) {
  return (
    <PasswordInput
      label="Current password"
      required
      withAsterisk={false}
      maxLength={MAX_PASSWORD}
      autoComplete="current-password"
      disabled={disabled}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      error={error}
    />
  );
}

interface FormProps {
  title: string;
  action: string;
  /** What is wrong with none of the fields. */
  general: unknown;
  busy: boolean;
  disabled?: boolean;
  onSubmit: () => void;
  children: ReactNode;
}

function Form({ title, action, general, busy, disabled = false, onSubmit, children }: FormProps) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <form className={classes.section} onSubmit={submit} aria-label={title}>
      <h2>{title}</h2>
      {children}
      <Problem error={general} />
      <div>
        <Button type="submit" size="xs" loading={busy} disabled={disabled}>
          {action}
        </Button>
      </div>
    </form>
  );
}
