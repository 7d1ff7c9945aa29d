import { type RefObject, useCallback, useState } from "react";
import type { Notification } from "@/api/types";
import { place } from "@/model/inbox";

/** Further down than this somebody is reading: what is new must not push it away. */
const AT_TOP_PX = 40;

/** The list as it is shown: while somebody reads further down, what is new above is held back and counted. */
export function useHeldBack(items: readonly Notification[], scroller: RefObject<HTMLElement | null>) {
  const [top, setTop] = useState<string | null>(null);
  const index = top === null ? -1 : items.findIndex((item) => place(item) === top);
  const held = Math.max(index, 0);
  const shown = held > 0 ? items.slice(held) : items;
  const first = shown[0];
  const onScroll = useCallback(() => {
    const away = (scroller.current?.scrollTop ?? 0) > AT_TOP_PX;
    setTop((before) => {
      if (!away) return null;
      return before ?? (first === undefined ? null : place(first));
    });
  }, [scroller, first]);
  const release = useCallback(() => setTop(null), []);
  return { shown, held, release, onScroll };
}
