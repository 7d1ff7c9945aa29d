import { useEffect, useEffectEvent } from "react";
import { pageKey } from "@/model/keys";

/** Calls `act` with each key that acts on the page, wherever the focus is. */
export function usePageKey(act: (key: string, event: KeyboardEvent) => void): void {
  const onKey = useEffectEvent((event: KeyboardEvent) => {
    const key = pageKey(event, event.target instanceof Element ? event.target : null);
    if (key !== undefined) act(key, event);
  });
  useEffect(() => {
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
}
