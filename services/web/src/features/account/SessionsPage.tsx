import { Badge, Button } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQuery } from "@tanstack/react-query";
import { data } from "@/api/client";
import type { Session } from "@/api/types";
import { notify, notifyError } from "@/components/notify";
import { Problem } from "@/components/Problem";
import { useChanged } from "@/context/queries";
import { useServices } from "@/context/services";
import { useNow } from "@/context/useNow";
import classes from "@/features/topics/TopicSettings.module.css";
import { fullTime, plural, when } from "@/model/text";
import { AccountPart } from "./AccountPart";
import { Confirm } from "./Confirm";
import { clientName } from "./clientName";

/** Where one is signed in, and the end of it. */
export default function SessionsPage() {
  const { api, session } = useServices();
  const changed = useChanged();
  const [asked, { open, close }] = useDisclosure();
  const sessions = useQuery({ queryKey: ["sessions"], queryFn: () => data(api.GET("/api/v1/me/sessions")) });
  const others = useMutation({
    mutationFn: () => data(api.DELETE("/api/v1/me/sessions")),
    onSuccess: ({ ended }) => {
      notify(`${plural(ended, "session")} ended.`);
      close();
      return changed("sessions");
    },
  });
  const everywhere = useMutation({ mutationFn: () => session.signOut(true) });
  const failed = sessions.error ?? everywhere.error;
  const items = sessions.data?.items ?? [];
  return (
    <AccountPart title="Sessions">
      <section className={classes.section}>
        <p className={classes.hint}>
          You are signed in here. What you end is signed out within seconds; API keys go on. If you do not know a
          session, end it and change your password.
        </p>
        <Problem error={failed} />
        <ul className={classes.people} aria-label="Sessions">
          {items.map((one) => (
            <Row key={one.id} session={one} />
          ))}
        </ul>
        <div className={classes.kinds}>
          <Button size="xs" variant="default" onClick={open} disabled={items.length < 2}>
            End all others
          </Button>
          <Button
            size="xs"
            variant="light"
            color="red"
            loading={everywhere.isPending}
            onClick={() => everywhere.mutate()}
          >
            Sign out everywhere
          </Button>
        </div>
      </section>
      {asked && (
        <Confirm
          title="End all other sessions?"
          action="End all others"
          error={others.error}
          busy={others.isPending}
          onClose={close}
          onConfirm={() => others.mutate()}
        >
          Every other browser, program and device has to sign in again. This window stays signed in.
        </Confirm>
      )}
    </AccountPart>
  );
}

function Row({ session }: { session: Session }) {
  const { api } = useServices();
  const changed = useChanged();
  const now = useNow();
  const end = useMutation({
    mutationFn: () => api.DELETE("/api/v1/me/sessions/{session_id}", { params: { path: { session_id: session.id } } }),
    onError: notifyError,
    // Another window may have ended it already.
    onSettled: () => changed("sessions"),
  });
  const name = clientName(session.user_agent);
  return (
    <li>
      <span>
        <span title={session.user_agent}>{name}</span>{" "}
        {session.current && (
          <Badge size="xs" variant="default">
            This one
          </Badge>
        )}
        <br />
        <span className={classes.hint}>
          {session.address !== "" && `from ${session.address}, `}since {fullTime(session.created_at)}
        </span>
      </span>
      <span>
        <span className={classes.hint}>last used {when(session.last_used_at, now)}</span>{" "}
        {!session.current && (
          <Button
            size="compact-xs"
            variant="subtle"
            color="red"
            loading={end.isPending}
            aria-label={`End the session of ${name} since ${fullTime(session.created_at)}`}
            onClick={() => end.mutate()}
          >
            End
          </Button>
        )}
      </span>
    </li>
  );
}
