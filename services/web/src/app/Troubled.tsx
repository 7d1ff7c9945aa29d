import { Button } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useContext, useMemo } from "react";
import { Observable } from "@/api/observable";
import { said, type Trouble, TroublesContext } from "@/components/troubles";
import { useObservable } from "@/context/services";
import classes from "./Shell.module.css";

/** Above the page: what it cannot show, and why, for all of its parts; each of them keeps its place. */
export function Troubled() {
  const troubles = useContext(TroublesContext);
  const none = useMemo(() => new Observable<readonly Trouble[]>([]), []);
  const all = useObservable(troubles?.all ?? none);
  const queries = useQueryClient();
  const words = said(all);
  if (words === "") return null;
  const again = () => {
    for (const trouble of all) trouble.again?.();
    const missing = queries.getQueryCache().findAll({
      type: "active",
      predicate: ({ state }) =>
        state.fetchFailureCount > 0 || (state.data === undefined && state.fetchStatus !== "idle"),
    });
    // One that waits for its next try is asked anew.
    for (const query of missing) void query.cancel({ silent: true }).then(() => query.fetch().catch(() => undefined));
  };
  return (
    <div className={classes.notice} role="status">
      {words} It is tried again by itself.
      <Button size="compact-sm" variant="default" onClick={again}>
        Try again
      </Button>
    </div>
  );
}
