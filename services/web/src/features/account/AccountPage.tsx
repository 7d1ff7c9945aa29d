import "@mantine/core/styles/InlineInput.css";
import "@mantine/core/styles/Switch.css";
import { Badge, Button, SegmentedControl, Switch, useMantineColorScheme } from "@mantine/core";
import { IconMail } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { Link } from "wouter";
import { data } from "@/api/client";
import { KeyList } from "@/components/KeyList";
import { notify, notifyError } from "@/components/notify";
import { PageHeader } from "@/components/PageHeader";
import { Problem } from "@/components/Problem";
import { useChanged } from "@/context/queries";
import { useObservable, useOwn, useServices } from "@/context/services";
import { EmailTrouble } from "@/features/account/EmailTrouble";
import classes from "@/features/topics/TopicSettings.module.css";
import { supported } from "@/model/alerter";
import type { AlertWishes } from "@/model/alerts";
import { KEYS } from "@/model/keys";
import { fullTime, timeZone } from "@/model/text";

export default function AccountPage() {
  return (
    <>
      <PageHeader title="Account and alerts" />
      <div className={classes.page}>
        <div className={classes.column}>
          <EmailTrouble />
          <Profile />
          <Alerts />
          <Appearance />
          <Keys />
          <ApiKeys />
          <Sessions />
          <YourData />
        </div>
      </div>
    </>
  );
}

function Profile() {
  const { user } = useOwn();
  const { api, config } = useServices();
  const verify = useMutation({
    mutationFn: () => api.POST("/api/v1/me/verification"),
    onSuccess: () => notify(`A mail is on its way to ${user.email}.`),
  });
  return (
    <section className={classes.section}>
      <h2>You</h2>
      <ul className={classes.people}>
        <li>
          <span>Name</span>
          <span>{user.name || "none"}</span>
        </li>
        <li>
          <span>Email</span>
          <span>
            {user.email}{" "}
            <Badge size="xs" variant="default">
              {user.email_verified ? "Verified" : "Not verified"}
            </Badge>
          </span>
        </li>
        <li>
          <span>Times in emails</span>
          <TimeZone />
        </li>
        <li>
          <span>User id</span>
          <code>{user.id}</code>
        </li>
        <li>
          <span>Member since</span>
          <span>{fullTime(user.created_at)}</span>
        </li>
      </ul>
      <div>
        <Button component={Link} href="/account/details" size="xs" variant="default">
          Change name, email or password
        </Button>
      </div>
      {!user.email_verified && (
        <>
          <p className={classes.hint}>
            {config.email !== false
              ? "Email is sent to verified addresses only: open the link in the mail you got and enter your password, or have another mail sent."
              : "This deployment does not send email at present."}
          </p>
          <Problem error={verify.error} />
          {config.email !== false && (
            <div>
              <Button
                size="xs"
                variant="default"
                leftSection={<IconMail size={15} />}
                loading={verify.isPending}
                onClick={() => verify.mutate()}
              >
                Send the verification mail again
              </Button>
            </div>
          )}
        </>
      )}
    </section>
  );
}

function TimeZone() {
  const { user } = useOwn();
  const { api } = useServices();
  const changed = useChanged();
  const here = timeZone();
  const set = useMutation({
    mutationFn: () => data(api.PUT("/api/v1/me/time-zone", { body: { time_zone: here } })),
    onSuccess: () => changed("me"),
    onError: notifyError,
  });
  return (
    <span>
      {user.time_zone || "UTC"}{" "}
      {here !== "" && here !== user.time_zone && (
        <Button size="compact-xs" variant="default" loading={set.isPending} onClick={() => set.mutate()}>
          Use {here}
        </Button>
      )}
    </span>
  );
}

function Alerts() {
  const { live } = useOwn();
  const wishes = useObservable(live.alerter.wishes);
  const wish = async (change: Partial<AlertWishes>) => {
    await live.alerter.wish({ ...wishes, ...change });
    if (change.desktop === true && !live.alerter.wishes.get().desktop) {
      notify(
        "This browser does not allow desktop notifications for this page; change that in its settings.",
        "warning",
      );
    }
  };
  return (
    <section className={classes.section}>
      <h2>Alerts in this browser</h2>
      <Switch
        label="Desktop notifications"
        description={supported() ? "While this page is open but not in front" : "This browser has none on this page"}
        disabled={!supported()}
        checked={wishes.desktop}
        onChange={(event) => wish({ desktop: event.currentTarget.checked }).catch(notifyError)}
      />
      <Switch
        label="Sound"
        checked={wishes.sound}
        onChange={(event) => wish({ sound: event.currentTarget.checked }).catch(notifyError)}
      />
      <Switch
        label="Only for high and urgent ones"
        checked={wishes.important}
        onChange={(event) => wish({ important: event.currentTarget.checked }).catch(notifyError)}
      />
    </section>
  );
}

function Appearance() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <section className={classes.section}>
      <h2>Appearance</h2>
      <div>
        <SegmentedControl
          aria-label="Colour scheme"
          value={colorScheme}
          onChange={(value) => setColorScheme(value as "auto" | "light" | "dark")}
          data={[
            { value: "auto", label: "As the system" },
            { value: "light", label: "Light" },
            { value: "dark", label: "Dark" },
          ]}
        />
      </div>
    </section>
  );
}

function Keys() {
  return (
    <section className={classes.section}>
      <h2>Keyboard</h2>
      <KeyList keys={KEYS} />
    </section>
  );
}

function ApiKeys() {
  return (
    <section className={classes.section}>
      <h2>API keys</h2>
      <p className={classes.hint}>With a key of its own, a program publishes and reads in your name.</p>
      <div>
        <Button component={Link} href="/account/keys" size="xs" variant="default">
          API keys
        </Button>
      </div>
    </section>
  );
}

function YourData() {
  return (
    <section className={classes.section}>
      <h2>Your data</h2>
      <p className={classes.hint}>Export all that is held of you, or delete the account.</p>
      <div>
        <Button component={Link} href="/account/data" size="xs" variant="default">
          Export or delete
        </Button>
      </div>
    </section>
  );
}

function Sessions() {
  const { session } = useServices();
  return (
    <section className={classes.section}>
      <h2>Sessions</h2>
      <p className={classes.hint}>
        See where you are signed in, and end it there. What you end is signed out within seconds; API keys go on.
      </p>
      <div className={classes.kinds}>
        <Button component={Link} href="/account/sessions" size="xs" variant="default">
          Sessions
        </Button>
        <Button size="xs" variant="default" onClick={() => void session.signOut()}>
          Sign out
        </Button>
      </div>
    </section>
  );
}
