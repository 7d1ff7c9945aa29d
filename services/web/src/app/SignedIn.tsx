import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError, sentence } from "@/api/errors";
import type { User } from "@/api/types";
import { notify } from "@/components/notify";
import { loadPartsSoon } from "@/components/parts";
import { Waiting } from "@/components/Waiting";
import { meQuery, subscriptionsQuery, useChangesElsewhere } from "@/context/queries";
import { OwnContext, useServices } from "@/context/services";
import { type Arrivals, Live } from "@/model/live";
import { plural } from "@/model/text";
import { Shell } from "./Shell";

export default function SignedIn() {
  const { api } = useServices();
  const me = useQuery({ ...meQuery(api), retry: (_, error) => error instanceof ApiError && error.passes });
  if (me.data === undefined) return <Waiting problem={me.failureReason === null ? "" : sentence(me.failureReason)} />;
  return <WithLive key={me.data.id} user={me.data} />;
}

function WithLive({ user }: { user: User }) {
  const live = useLiveOf(user);
  const { api } = useServices();
  useChangesElsewhere();
  useEffect(loadPartsSoon, []);
  const subscriptions = useQuery(subscriptionsQuery(api));
  useEffect(() => {
    if (live !== null && subscriptions.data !== undefined) live.subscriptions(subscriptions.data);
  }, [live, subscriptions.data]);
  if (live === null) return null;
  return (
    <OwnContext value={{ user, live }}>
      <Shell />
    </OwnContext>
  );
}

/** The live side of the page, for as long as the same user is signed in. */
function useLiveOf(user: User): Live | null {
  const { api, session, config } = useServices();
  const queries = useQueryClient();
  const [live, setLive] = useState<Live | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a user who is read again is the same user
  useEffect(() => {
    const made = new Live(user, config.socket_url, session, api, {
      subscriptionsChanged: () => void queries.invalidateQueries({ queryKey: ["subscriptions"] }),
      topicsChanged: () => void queries.invalidateQueries({ queryKey: ["topics"] }),
      arrivals: announce,
    });
    setLive(made);
    return () => made.close();
  }, [user.id, api, session, config, queries]);
  return live;
}

function announce({ count, missing }: Arrivals): void {
  if (count > 0) notify(`${plural(count, "notification")} arrived while you were away.`);
  if (missing > 0) notify(`${plural(missing, "notification")} expired before you were back.`, "warning");
}
