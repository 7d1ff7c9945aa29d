import { useCallback } from "react";
import { orNotify } from "@/components/notify";
import { offerUndo, withdrawUndo } from "@/components/undo";
import { useOwn } from "@/context/services";

/** Acknowledges single notifications of a topic, says so with `done` and offers to take it back; and takes it back. */
export function useAcknowledge() {
  const { live } = useOwn();
  const markUnread = useCallback(
    (topic: string, seqs: readonly number[]) =>
      orNotify(() => {
        live.unacknowledge(topic, { seqs }, seqs.length);
        withdrawUndo(nameOf(topic, seqs));
      }),
    [live],
  );
  const acknowledge = useCallback(
    (topic: string, seqs: readonly number[], done: string) =>
      orNotify(() => {
        live.acknowledge(topic, { seqs });
        offerUndo(done, () => markUnread(topic, seqs), nameOf(topic, seqs));
      }),
    [live, markUnread],
  );
  return { acknowledge, markUnread };
}

function nameOf(topic: string, seqs: readonly number[]): string {
  return `${topic} ${seqs.join(" ")}`;
}
