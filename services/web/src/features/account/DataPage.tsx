import { Button, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDownload } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { Suspense } from "react";
import { download } from "@/api/download";
import { Problem } from "@/components/Problem";
import { offlinePart } from "@/components/parts";
import { useServices } from "@/context/services";
import classes from "@/features/topics/TopicSettings.module.css";
import { AccountPart } from "./AccountPart";

const DeleteAccount = offlinePart(() => import("./DeleteAccount"));

/** All one's data in a file, and the end of one's account. */
export default function DataPage() {
  const { session } = useServices();
  const [deleting, { open, close }] = useDisclosure();
  const save = useMutation({
    mutationFn: () => download(session, "/api/v1/me/export", "notifyx-export.json", '"complete":true}'),
  });
  return (
    <AccountPart title="Your data">
      <section className={classes.section}>
        <h2>Export</h2>
        <p className={classes.hint}>
          One JSON file with all that is held of you: account, sessions, API keys and webhooks without their secrets,
          subscriptions, your topics, the notifications of your inbox, and what you published.
        </p>
        <Problem error={save.error} />
        <div>
          <Button
            size="xs"
            variant="default"
            leftSection={<IconDownload size={15} />}
            loading={save.isPending}
            onClick={() => save.mutate()}
          >
            Export my data
          </Button>
        </div>
        {save.isSuccess && (
          <Text size="sm" role="status">
            Your data are saved as notifyx-export.json.
          </Text>
        )}
      </section>
      <section className={classes.section}>
        <h2>Delete the account</h2>
        <p className={classes.hint}>
          Your sessions, API keys, webhooks, subscriptions and inbox go with it, for ever. What you published in topics
          that stay remains there, without your name after some minutes.
        </p>
        <div>
          <Button size="xs" color="red" variant="light" onClick={open}>
            Delete my account
          </Button>
        </div>
      </section>
      {deleting && (
        <Suspense>
          <DeleteAccount onClose={close} />
        </Suspense>
      )}
    </AccountPart>
  );
}
