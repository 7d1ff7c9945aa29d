import { useCallback } from "react";
import { type Api, data } from "@/api/client";
import { historyPage } from "@/api/pages";
import { notify, orNotify } from "@/components/notify";
import { offerUndo } from "@/components/undo";
import { useOwn, useServices } from "@/context/services";
import { NONE, type Unack, wayBack } from "@/model/acks";
import { plural } from "@/model/text";

/**
 * Acknowledges everything there is now in one topic, or in all that have something unread, or removed before it was
 * read; then offers to take exactly that back.
 */
export function useAcknowledgeAll(): (topic?: string) => Promise<void> {
  const { live } = useOwn();
  const { api } = useServices();
  return useCallback(
    async (only?: string) => {
      const unread = live.unread.get().of;
      const counts = [...unread, ...live.expired.get().of];
      const some = new Set(counts.filter(([, count]) => count > 0).map(([topic]) => topic));
      const topics = only === undefined ? [...some] : [only];
      const expired = live.expired.get().of;
      const connected = live.connection.state.get() === "live";
      const steps = await Promise.all(
        topics.map(async (topic) => {
          const head = live.headOf(topic) ?? (await historyPage(api, topic, { limit: 1 })).last_seq;
          const count = unread.get(topic) ?? 0;
          const known = live.book.get().get(topic) ?? NONE;
          const read = connected ? await readWayBack(api, topic, head) : undefined;
          const back = read ?? wayBack(known, head, count, expired.get(topic) ?? 0);
          return { topic, head, count, back };
        }),
      );
      for (const { topic, head } of steps) live.acknowledge(topic, { up_to: head });
      const count = steps.reduce((sum, step) => sum + step.count, 0);
      if (count === 0) return;
      const done = `${plural(count, "notification")} acknowledged.`;
      if (steps.some(({ back }) => back === undefined)) {
        notify(`${done} This cannot be undone: it is not known which of them were read before.`, "warning");
        return;
      }
      offerUndo(done, () =>
        orNotify(() => {
          for (const { topic, back, count } of steps) if (back !== undefined) live.unacknowledge(topic, back, count);
        }),
      );
    },
    [live, api],
  );
}

/** As {@link wayBack}, by what the server knows; undefined where it does not answer, or too much was read singly. */
async function readWayBack(api: Api, topic: string, head: number): Promise<Unack | undefined> {
  const params = { path: { name: topic }, query: { before: head + 1 } };
  const read = await data(api.GET("/api/v1/topics/{name}/acks", { params })).catch(() => undefined);
  if (read === undefined || read.next !== null) return undefined;
  return { after: Math.min(read.acked_up_to, head), up_to: head, keep: read.seqs };
}
