import { useEffect, useState } from "react";

/**
 * Gives the focus back to what had it when this was first rendered, or to the page where that is gone. Mantine does so
 * only where `opened` changes. A focus that went elsewhere meanwhile, as to another page, stays there.
 */
export function useFocusBack(): void {
  const [before] = useState(() => document.activeElement);
  useEffect(
    () => () => {
      if (document.activeElement !== null && document.activeElement !== document.body) return;
      const there = before instanceof HTMLElement && before !== document.body && before.isConnected;
      (there ? before : document.getElementById("main"))?.focus({ preventScroll: true });
    },
    [before],
  );
}
