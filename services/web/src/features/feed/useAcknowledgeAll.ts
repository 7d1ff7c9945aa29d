import { useCallback } from "react";
import { data } from "@/api/client";
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
        let head = live.headOf(topic);
        if (head === undefined) {
          const params = { path: { name: topic }, query: { limit: 1 } };
          head = (await data(api.GET("/api/v1/topics/{name}/notifications", { params }))).last_seq;
        }
        live.acknowledge(topic, { up_to: head });
      }
    },
    [live, api],
  );
}
