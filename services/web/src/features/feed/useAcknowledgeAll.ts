import { useCallback } from "react";
import { data } from "@/api/client";
import { useOwn, useServices } from "@/context/services";

/** Acknowledges everything there is now in one topic, or in all that have something unread. */
export function useAcknowledgeAll(): (topic?: string) => Promise<void> {
  const { live } = useOwn();
  const { api } = useServices();
  return useCallback(
    async (only?: string) => {
      const topics =
        only === undefined ? [...live.unread.get()].filter(([, count]) => count > 0) : [[only, 1] as const];
      for (const [topic] of topics) {
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
