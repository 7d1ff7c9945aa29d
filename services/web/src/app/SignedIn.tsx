import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { Router } from "wouter";
import { data } from "@/api/client";
import type { User } from "@/api/types";
import { notify, notifyError } from "@/components/notify";
import { loadPartsSoon } from "@/components/parts";
import { Waiting } from "@/components/Waiting";
import { Leaving, LeavingContext } from "@/context/leaving";
import {
  accountChanged,
  datedSubscriptionsQuery,
  meQuery,
  problemOf,
  topicQuery,
  useChangesElsewhere,
} from "@/context/queries";
import { OwnContext, useObservable, useServices } from "@/context/services";
import { type Arrivals, Live } from "@/model/live";
import { plural, timeZone } from "@/model/text";
import { Shell } from "./Shell";

export default function SignedIn() {
  const { api } = useServices();
  const me = useQuery(meQuery(api));
  if (me.data === undefined) return <Waiting problem={problemOf(me)} />;
  return <WithLive key={me.data.id} user={me.data} />;
}

function WithLive({ user }: { user: User }) {
  const live = useLiveOf(user);
  const { api } = useServices();
  const leaving = useMemo(() => new Leaving(), []);
  useChangesElsewhere();
  useEffect(loadPartsSoon, []);
  useTimeZoneOnce(user);
  useRecovery();
  const subscriptions = useQuery(datedSubscriptionsQuery(api));
  useEffect(() => {
    if (live !== null && subscriptions.data !== undefined) {
      live.subscriptions(subscriptions.data.items, subscriptions.data.asked);
    }
  }, [live, subscriptions.data]);
  if (live === null) return null;
  return (
    <OwnContext value={{ user, live }}>
      <LeavingContext value={leaving}>
        <Router hook={leaving.useLocation} aroundNav={leaving.around}>
          <Shell />
        </Router>
      </LeavingContext>
    </OwnContext>
  );
}

/** Finds out when the server is well again, which no page may ask for: what it says of the connection is to be true. */
function useRecovery(): void {
  const { trouble } = useServices();
  const queries = useQueryClient();
  const troubled = useObservable(trouble) !== "";
  useEffect(() => {
    if (troubled) void queries.invalidateQueries({ queryKey: ["subscriptions"] });
    else void queries.invalidateQueries({ predicate: (query) => query.state.fetchFailureCount > 0 });
  }, [troubled, queries]);
}

/** Says in which time zone this user is, where that is not known: emails have times in it. */
function useTimeZoneOnce(user: User): void {
  const { api } = useServices();
  const queries = useQueryClient();
  const zone = timeZone();
  useEffect(() => {
    if (user.time_zone || zone === "") return;
    // Nothing is lost where that fails: it is said again with the next visit, and until then times are in UTC.
    data(api.PUT("/api/v1/me/time-zone", { body: { time_zone: zone } })).then(
      (known) => queries.setQueryData(["me"], known),
      () => undefined,
    );
  }, [user.time_zone, zone, api, queries]);
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
      accountChanged: () => accountChanged(queries),
      settings: (topic, version, changed) => {
        // A window that nobody sees reads them once it is looked at. Where they are edited they stay as they were read.
        const refetchType = document.visibilityState === "hidden" ? ("none" as const) : ("active" as const);
        const { queryKey } = topicQuery(api, topic);
        const shown = queries.getQueryData(queryKey);
        if (shown !== undefined && (version === "" || shown.version !== version)) {
          void queries.invalidateQueries({ queryKey, exact: true, refetchType });
        }
        if (changed) void queries.invalidateQueries({ queryKey: ["topics"], refetchType });
      },
      topicsChanged: () => void queries.invalidateQueries({ queryKey: ["topics"] }),
      arrivals: announce,
      refused: notifyError,
    });
    setLive(made);
    return () => made.close();
  }, [user.id, api, session, config, queries]);
  return live;
}

function announce({ count, missing, restored }: Arrivals): void {
  if (restored) notify("Notifyx was restored from a backup. What came after that backup is gone.", "warning");
  if (count > 0) notify(`${plural(count, "notification")} arrived while you were away.`);
  if (missing > 0)
    notify(
      `${plural(missing, "notification")} expired before you could see ${missing === 1 ? "it" : "them"}.`,
      "warning",
    );
}
