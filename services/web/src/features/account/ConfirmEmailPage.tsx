import { Alert, Button, Loader } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link } from "wouter";
import { data } from "@/api/client";
import { Problem } from "@/components/Problem";
import { useChanged } from "@/context/queries";
import { useOwn, useServices } from "@/context/services";
import classes from "@/features/topics/TopicSettings.module.css";
import { AccountPart } from "./AccountPart";
import { isEnded, useCheckedLink } from "./useLinkState";
import { type OpenedLink, useLinkToken } from "./useLinkToken";

/** Gives the account the address whose mailbox got this link. */
export default function ConfirmEmailPage() {
  const link = useLinkToken();
  return <Confirmation key={link.opened} opened={link} />;
}

function Confirmation({ opened }: { opened: OpenedLink }) {
  const { token } = opened;
  const { api, session } = useServices();
  const { user } = useOwn();
  const changed = useChanged();
  const link = useCheckedLink([user.id], opened, () => data(api.POST("/api/v1/me/email/check", { body: { token } })));
  const confirm = useMutation({
    mutationFn: () => data(api.POST("/api/v1/me/email/confirm", { body: { token } })),
    onSuccess: async () => {
      // The access token says the old address; nothing is lost where it is renewed later.
      await session.renew().catch(() => undefined);
      await Promise.all([changed("me"), changed("email"), changed("emailChange")]);
    },
  });
  const ended = link.state === "ended" || isEnded(confirm.error);
  return (
    <AccountPart title="Confirm your new address">
      <section className={classes.section}>
        {confirm.isSuccess && (
          <Alert color="pine" role="status">
            The address of your account is {confirm.data.email} now. You sign in with it from now on.
          </Alert>
        )}
        <Problem error={ended ? null : confirm.error} />
        {!confirm.isSuccess && (token === "" || ended) && (
          <p className={classes.hint} role="alert">
            {token === ""
              ? "This link is not complete. Open the whole link from the mail."
              : "This link does not work: it was used already, has expired, was replaced by a newer one, or is for another account than yours."}{" "}
            Ask for another mail under <Link href="/account/details">Name, email and password</Link>.
          </p>
        )}
        {!confirm.isSuccess && token !== "" && link.state === "checking" && (
          <Loader size="sm" role="img" aria-label="Checking the link" />
        )}
        {!confirm.isSuccess && token !== "" && !ended && link.state !== "checking" && (
          <>
            <p className={classes.hint}>
              Your account has the address <bdi>{user.email}</bdi>. Press the button to use{" "}
              {link.data === undefined ? "the address that got this mail" : <bdi>{link.data.email}</bdi>} instead.
            </p>
            <div>
              <Button size="xs" loading={confirm.isPending} onClick={() => confirm.mutate()}>
                Use this address
              </Button>
            </div>
          </>
        )}
      </section>
    </AccountPart>
  );
}
