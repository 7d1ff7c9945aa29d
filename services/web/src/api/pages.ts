/** Pages of the log: with `q` an address answers with what was found, and without it with a page of its own. */
import { type Api, data } from "./client";
import { ApiError } from "./errors";
import type { DirectFoundPage, FoundPage, HistoryPage, InboxPage, ThreadsPage } from "./types";

/** A page of a topic's history. */
export async function historyPage(
  api: Api,
  name: string,
  query: { after?: number; before?: number; limit: number },
): Promise<HistoryPage> {
  const page = await data(api.GET("/api/v1/topics/{name}/notifications", { params: { path: { name }, query } }));
  if (!("last_seq" in page)) throw unexpected();
  return page;
}

/** A page of the inbox. */
export async function inboxPage(
  api: Api,
  query: { limit: number; unread?: "true"; after?: string },
): Promise<InboxPage> {
  const page = await data(api.GET("/api/v1/inbox", { params: { query } }));
  if (!("unread" in page)) throw unexpected();
  return page;
}

/** A page of those with whom the user exchanged direct messages. */
export async function threadsPage(api: Api, after: string | null): Promise<ThreadsPage> {
  const query = after === null ? {} : { after };
  const page = await data(api.GET("/api/v1/me/threads", { params: { query } }));
  if ("names" in page) throw unexpected();
  return page;
}

/** What is searched: a topic or, without one, the inbox, all of it or what is unread. */
export interface Place {
  readonly topic?: string | undefined;
  readonly unread?: boolean;
  /** In place of those: the direct messages of both sides. */
  readonly direct?: boolean;
}

/** A page of what `q` finds. */
export async function foundPage(
  api: Api,
  { topic, unread = false, direct = false }: Place,
  q: string,
  after: string | null,
): Promise<FoundPage | DirectFoundPage> {
  if (direct) {
    const query = { q, ...(after === null ? {} : { after }) };
    const page = await data(api.GET("/api/v1/me/threads", { params: { query } }));
    if (!("names" in page)) throw unexpected();
    return page;
  }
  if (topic === undefined) {
    const query = { q, ...(unread ? { unread: "true" as const } : {}), ...(after === null ? {} : { after }) };
    return data(api.GET("/api/v1/inbox", { params: { query } }));
  }
  const params = { path: { name: topic }, query: { q, ...(after === null ? {} : { cursor: after }) } };
  const page = await data(api.GET("/api/v1/topics/{name}/notifications", { params }));
  if ("last_seq" in page) throw unexpected();
  return page;
}

function unexpected(): ApiError {
  return new ApiError(200, "unexpected", "The server's answer was not understood.");
}
