import { useCallback } from "react";
import { type Api, data } from "@/api/client";
import { historyPage } from "@/api/pages";
import { orNotify } from "@/components/notify";
import { offerUndo } from "@/components/undo";
import { useOwn, useServices } from "@/context/services";
import type { Unack } from "@/model/acks";
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
      const count = topics.reduce((sum, topic) => sum + (unread.get(topic) ?? 0), 0);
      // Without the server nothing tells what exactly was unread; what is acknowledged now waits for it, too.
      const connected = live.connection.state.get() === "live";
      const steps = await Promise.all(
        topics.map(async (topic) => {
          const head = live.headOf(topic) ?? (await historyPage(api, topic, { limit: 1 })).last_seq;
          return { topic, head, back: connected ? await wayBack(api, topic, head) : undefined };
        }),
      );
      for (const { topic, head } of steps) live.acknowledge(topic, { up_to: head });
      if (count === 0 || steps.some(({ back }) => back === undefined)) return;
      offerUndo(`${plural(count, "notification")} acknowledged.`, () =>
        orNotify(() => {
          for (const { topic, back } of steps) if (back !== undefined) live.unacknowledge(topic, back);
        }),
      );
    },
    [live, api],
  );
}

/** What takes an acknowledgement of everything up to `head` back; undefined where too much was read singly before it. */
async function wayBack(api: Api, topic: string, head: number): Promise<Unack | undefined> {
  const params = { path: { name: topic }, query: { before: head + 1 } };
  const read = await data(api.GET("/api/v1/topics/{name}/acks", { params })).catch(() => undefined);
  if (read === undefined || read.next !== null) return undefined;
  return { after: Math.min(read.acked_up_to, head), up_to: head, keep: read.seqs };
}
