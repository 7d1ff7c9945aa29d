import { useState } from "react";
import { useOwn } from "@/context/services";
import { BLANK, draftName, isBlank } from "./draft";

/** Whether a page shows its composer, for a topic or else for a person. */
export function useComposing(topic: string | undefined, initially = false) {
  const { live } = useOwn();
  const [shown, setShown] = useState(initially);
  const [key, setKey] = useState(0);
  return {
    shown,
    /** Whether something was begun in it and not sent, which it shows once it is opened. */
    begun: !shown && !isBlank(live.drafts.read(draftName(topic), BLANK)),
    /** Another key is another form, which begins with the draft. */
    key,
    open: () => setShown(true),
    close: () => setShown(false),
    reopen: () => {
      setShown(true);
      setKey((before) => before + 1);
    },
  };
}
