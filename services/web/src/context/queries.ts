/** What the pages read from the API, by name; and telling this window and the others that it changed. */
import {
  focusManager,
  infiniteQueryOptions,
  type QueryClient,
  queryOptions,
  type UseQueryResult,
  useQueryClient,
} from "@tanstack/react-query";
import { useCallback, useEffect } from "react";
import { type Api, data } from "@/api/client";
import { ApiError, sentence } from "@/api/errors";
import { pauseAfter } from "@/api/http";
import { inboxPage, threadsPage } from "@/api/pages";
import type { Subscription } from "@/api/types";

/**
 * How reads are tried again: for as long as a later try may succeed, so that a page recovers by itself. A read that is
 * still tried has no `error`; {@link problemOf} says why it failed so far.
 */
export const tried = (maximumMs?: number) => ({
  retry: (_: number, error: Error) => error instanceof ApiError && error.passes,
  retryDelay: (failures: number, error: Error) =>
    pauseAfter(failures, error instanceof ApiError ? error.retryAfter : undefined, Math.random(), maximumMs),
});

/** Why something is not known yet; empty where it is, or where no try has failed. */
export function problemOf(query: Pick<UseQueryResult, "data" | "failureReason">): string {
  return query.data !== undefined || query.failureReason === null ? "" : sentence(query.failureReason);
}

/**
 * How old a read may be when somebody comes to the page that shows it, or back to the window, and is not asked for again:
 * of much that other devices change nothing is pushed, and pushes can be lost.
 */
export const FRESH_MS = 2_000;

/** The same of what the socket tells to be read again: the rest is for pushes that are lost. */
export const TOLD = { staleTime: 30_000 };

/** With the moment at which they were asked for: what was pushed since is newer. */
export const datedSubscriptionsQuery = (api: Api) =>
  queryOptions({
    queryKey: ["subscriptions"],
    ...TOLD,
    queryFn: async () => {
      const asked = performance.now();
      return { items: (await data(api.GET("/api/v1/subscriptions"))).items, asked };
    },
  });

export const subscriptionsQuery = (api: Api) => ({
  ...datedSubscriptionsQuery(api),
  select: ({ items }: { readonly items: Subscription[] }) => items,
});

export const topicQuery = (api: Api, name: string) =>
  queryOptions({
    queryKey: ["topic", name],
    ...TOLD,
    queryFn: () => data(api.GET("/api/v1/topics/{name}", { params: { path: { name } } })),
  });

/** With the names of the users in its lists, which take the server longer. */
export const describedTopicQuery = (api: Api, name: string) =>
  queryOptions({
    queryKey: ["topic", name, "described"],
    queryFn: () =>
      data(api.GET("/api/v1/topics/{name}", { params: { path: { name }, query: { names: "true" as const } } })),
  });

export const meQuery = (api: Api) => queryOptions({ queryKey: ["me"], queryFn: () => data(api.GET("/api/v1/me")) });

export const emailQuery = (api: Api) =>
  queryOptions({
    queryKey: ["email"],
    queryFn: () => data(api.GET("/api/v1/me/email")),
    refetchInterval: 300_000,
  });

/** Which new address awaits its confirmation. */
export const emailChangeQuery = (api: Api) =>
  queryOptions({ queryKey: ["emailChange"], queryFn: () => data(api.GET("/api/v1/me/email/change")) });

/** What is read of the user's account: `account_changed` on the socket tells that some of it is another. */
const OF_ACCOUNT = new Set<unknown>(["me", "email", "emailChange", "sessions", "apiKeys", "hooks"]);

/** Has what is shown of the account read again; by a window that nobody sees, once it is looked at. */
export function accountChanged(client: QueryClient): void {
  const refetchType = document.visibilityState === "hidden" ? "none" : "active";
  void client.invalidateQueries({ predicate: ({ queryKey }) => OF_ACCOUNT.has(queryKey[0]), refetchType });
}

/** Whether nobody can send to the user any more; read again with each hundred that are unread. */
export const inboxFullQuery = (api: Api, unread: number) =>
  queryOptions({
    queryKey: ["inboxFull", Math.ceil(unread / 100)],
    queryFn: async () => (await inboxPage(api, { limit: 1 })).inbox_full,
    ...TOLD,
    enabled: unread > 0,
  });

/** Those with whom the user exchanged direct messages; live ones are read again by whoever shows them. */
export const threadsQuery = (api: Api) =>
  infiniteQueryOptions({
    queryKey: ["threads"],
    queryFn: ({ pageParam }) => threadsPage(api, pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchOnMount: "always",
    ...TOLD,
  });

/** Both sides of the user's messages with one other, the newest page first. `read` hears which are acknowledged. */
export const threadQuery = (api: Api, who: string, read: (seqs: readonly number[]) => void) =>
  infiniteQueryOptions({
    queryKey: ["thread", who],
    queryFn: async ({ pageParam }) => {
      const query = pageParam === null ? {} : { after: pageParam };
      const page = await data(api.GET("/api/v1/me/threads/{who}", { params: { path: { who }, query } }));
      // Here, and not where it is shown: what was read earlier may be out of date.
      read(page.items.filter((item) => item.acked === true).map((item) => item.seq));
      return page;
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchOnMount: "always",
    ...TOLD,
  });

/**
 * Have what is shown read again by who comes back: also to a window that was visible all the time, beside a terminal or
 * another browser, which the library does not notice by itself.
 */
export function readOnReturn(): void {
  focusManager.setEventListener((back) => {
    const returned = () => back();
    window.addEventListener("visibilitychange", returned);
    window.addEventListener("focus", returned);
    return () => {
      window.removeEventListener("visibilitychange", returned);
      window.removeEventListener("focus", returned);
    };
  });
}

/** Reads again what stays on the screen while somebody goes to another page; that page reads its own parts. */
export function useReadOnArrival(path: string): void {
  const client = useQueryClient();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page is what it is about
  useEffect(() => {
    void client.refetchQueries({ type: "active", stale: true }, { cancelRefetch: false });
  }, [client, path]);
}

const CHANNEL = "notifyx.changed";

/** Says that what was read under `key` is no longer so, here and in this user's other windows of this browser. */
export function useChanged(): (...key: string[]) => Promise<void> {
  const client = useQueryClient();
  return useCallback(
    async (...key: string[]) => {
      const channel = new BroadcastChannel(CHANNEL);
      channel.postMessage(key);
      channel.close();
      await client.invalidateQueries({ queryKey: key });
    },
    [client],
  );
}

/** Reads again what other windows say has changed. */
export function useChangesElsewhere(): void {
  const client = useQueryClient();
  useEffect(() => {
    const channel = new BroadcastChannel(CHANNEL);
    channel.onmessage = (event: MessageEvent<string[]>) => void client.invalidateQueries({ queryKey: event.data });
    return () => channel.close();
  }, [client]);
}
