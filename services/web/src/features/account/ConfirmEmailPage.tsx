import { Alert, Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { data } from "@/api/client";
import { Problem } from "@/components/Problem";
import { useChanged } from "@/context/queries";
import { useOwn, useServices } from "@/context/services";
import classes from "@/features/topics/TopicSettings.module.css";
import { AccountPart } from "./AccountPart";
import { useLinkToken } from "./useLinkToken";

/** Gives the account the address whose mailbox got this link. */
export default function ConfirmEmailPage() {
  const [token, forget] = useLinkToken();
  return <Confirmation key={token} token={token} onUsed={forget} />;
}

function Confirmation({ token, onUsed }: { token: string; onUsed: () => void }) {
  const { api, session } = useServices();
  const { user } = useOwn();
  const changed = useChanged();
  const confirm = useMutation({
    mutationFn: () => data(api.POST("/api/v1/me/email/confirm", { body: { token } })),
    onSuccess: async () => {
      onUsed();
      // The access token says the old address; nothing is lost where it is renewed later.
      await session.renew().catch(() => undefined);
      await Promise.all([changed("me"), changed("email")]);
    },
  });
  return (
    <AccountPart title="Confirm your new address">
      <section className={classes.section}>
        {confirm.isSuccess && (
          <Alert color="teal" role="status">
            The address of your account is {confirm.data.email} now. You sign in with it from now on.
          </Alert>
        )}
        <Problem error={confirm.error} />
        {token === "" && !confirm.isSuccess && (
          <p className={classes.hint}>This link is not complete. Open the whole link from the mail.</p>
        )}
        {token !== "" && !confirm.isSuccess && (
          <>
            <p className={classes.hint}>
              Your account has the address <bdi>{user.email}</bdi>. Press the button to use the address that got this
              mail instead.
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
