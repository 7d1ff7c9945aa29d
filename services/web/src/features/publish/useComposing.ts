import { useState } from "react";

/** Whether a page shows its composer. */
export function useComposing(initially: boolean) {
  const [shown, setShown] = useState(initially);
  const [key, setKey] = useState(0);
  return {
    shown,
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
