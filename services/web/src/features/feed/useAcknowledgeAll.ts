import { useCallback } from "react";
import { historyPage } from "@/api/pages";
import { useOwn, useServices } from "@/context/services";

/** Acknowledges everything there is now in one topic, or in all that have something unread, or removed before it was read. */
export function useAcknowledgeAll(): (topic?: string) => Promise<void> {
  const { live } = useOwn();
  const { api } = useServices();
  return useCallback(
    async (only?: string) => {
      const counts = [...live.unread.get().of, ...live.expired.get().of];
      const some = new Set(counts.filter(([, count]) => count > 0).map(([topic]) => topic));
      for (const topic of only === undefined ? some : [only]) {
        const head = live.headOf(topic) ?? (await historyPage(api, topic, { limit: 1 })).last_seq;
        live.acknowledge(topic, { up_to: head });
      }
    },
    [live, api],
  );
}
