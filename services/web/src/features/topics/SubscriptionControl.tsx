import { Button, Menu } from "@mantine/core";
import { IconBell, IconBellPlus, IconBellX, IconChevronDown, IconMail } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { EmailMode } from "@/api/types";
import { notify, notifyError } from "@/components/notify";
import { problemOf, subscriptionsQuery, useChanged } from "@/context/queries";
import { useOwn, useServices } from "@/context/services";
import { EMAIL_MODES } from "./emailModes";

interface Props {
  name: string;
  /** A subscription that cannot be ended: one's own inbox. */
  fixed?: boolean;
}

/** Subscribe, choose how email is sent, unsubscribe. */
export function SubscriptionControl({ name, fixed = false }: Props) {
  const { api, config } = useServices();
  const { user } = useOwn();
  const changed = useChanged();
  const [opened, setOpened] = useState(false);
  const subscriptions = useQuery(subscriptionsQuery(api));
  const subscription = subscriptions.data?.find((one) => one.topic === name);
  const subscribe = useMutation({
    mutationFn: async (email: EmailMode | undefined) => {
      const body = email === undefined ? {} : { email };
      await api.PUT("/api/v1/topics/{name}/subscription", { params: { path: { name } }, body });
      await changed("subscriptions");
    },
    onError: notifyError,
  });
  const unsubscribe = useMutation({
    mutationFn: async () => {
      await api.DELETE("/api/v1/topics/{name}/subscription", { params: { path: { name } } });
      await changed("subscriptions");
    },
    onError: notifyError,
  });
  if (subscriptions.data === undefined) {
    const problem = problemOf(subscriptions);
    if (problem === "") return null;
    return (
      <Button size="xs" variant="default" disabled title={problem}>
        Subscription: not known yet
      </Button>
    );
  }
  if (subscription === undefined) {
    return (
      <Button
        size="xs"
        variant="light"
        leftSection={<IconBellPlus size={15} />}
        loading={subscribe.isPending}
        onClick={() => subscribe.mutate(undefined)}
      >
        Subscribe
      </Button>
    );
  }
  const waits = (mode: EmailMode) => mode !== "never" && config.email !== false && !user.email_verified;
  const choose = (mode: EmailMode) =>
    subscribe.mutate(mode, {
      onSuccess: () => {
        if (waits(mode)) notify(`Email waits until you open the link in the mail to ${user.email}.`, "warning");
      },
    });
  return (
    <Menu opened={opened} onChange={setOpened} position="bottom-end" width={290}>
      <Menu.Target>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconBell size={15} />}
          rightSection={<IconChevronDown size={13} />}
          loading={subscribe.isPending || unsubscribe.isPending}
          title={waits(subscription.email) ? "Email waits until you confirm your address" : undefined}
        >
          Email: {EMAIL_MODES[subscription.email].short}
          {waits(subscription.email) && ", waiting"}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {config.email === false ? "This deployment does not send email at present" : "Send me email"}
        </Menu.Label>
        {config.email !== false && !user.email_verified && <ConfirmFirst address={user.email} />}
        <Menu.RadioGroup
          value={subscription.email}
          onChange={(mode) => {
            setOpened(false);
            choose(mode as EmailMode);
          }}
        >
          {Object.entries(EMAIL_MODES).map(([mode, words]) => (
            <Menu.RadioItem key={mode} value={mode}>
              {words.long}
            </Menu.RadioItem>
          ))}
        </Menu.RadioGroup>
        {!fixed && (
          <>
            <Menu.Divider />
            <Menu.Item color="red" leftSection={<IconBellX size={15} />} onClick={() => unsubscribe.mutate()}>
              Unsubscribe
            </Menu.Item>
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

/** Email goes to verified addresses only; the store keeps it for a time. */
function ConfirmFirst({ address }: { address: string }) {
  const { api } = useServices();
  const send = useMutation({
    mutationFn: () => api.POST("/api/v1/me/verification"),
    onSuccess: () => notify(`A mail is on its way to ${address}.`),
    onError: notifyError,
  });
  return (
    <>
      <Menu.Label role="status">
        Confirm your address first: open the link in the mail to {address}. Until then the newest emails wait for you,
        some days at most.
      </Menu.Label>
      <Menu.Item
        leftSection={<IconMail size={15} />}
        closeMenuOnClick={false}
        disabled={send.isPending}
        onClick={() => send.mutate()}
      >
        Send that mail again
      </Menu.Item>
    </>
  );
}
