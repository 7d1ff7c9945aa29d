import { useCallback } from "react";
import { notify } from "@/components/notify";
import { useOwn } from "@/context/services";
import type { Message } from "@/model/outbox";
import { BLANK, draftName, isBlank, writtenOf } from "./draft";

/**
 * Makes a message that was refused what the composer holds, to be changed and sent anew. Something else that is written
 * there stays, and so does the message.
 */
export function useTakeBack(): (message: Message) => void {
  const { live } = useOwn();
  return useCallback(
    (message: Message) => {
      const name = draftName(message.kind === "send" ? undefined : message.target);
      if (!isBlank(live.drafts.read(name, BLANK))) {
        notify("Send or discard what you are writing first.", "warning");
        return;
      }
      live.drafts.keep(name, writtenOf(message), BLANK);
      live.outbox.discard(message.key);
    },
    [live],
  );
}
