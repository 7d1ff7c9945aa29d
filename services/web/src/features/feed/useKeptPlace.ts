import type { Virtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import type { Notification } from "@/api/types";
import { place } from "@/model/inbox";
import { changeEntry, readEntry } from "./entry";

const SETTLED_MS = 200;

/** Further back than this the place is not sought again: too many pages lie between. */
const FAR = 1_000;

/**
 * Keeps in the page's entry of the browser's history which notification stands at the top, so that Back and a reload
 * show it again. A page that is opened anew begins at its top. `enabled`: the address itself names no place.
 */
export function useKeptPlace(
  virtual: Virtualizer<HTMLDivElement, Element>,
  shown: readonly Notification[],
  complete: boolean,
  enabled: boolean,
) {
  const [wanted, setWanted] = useState(() => (enabled ? readEntry().place : undefined));
  const index = wanted === undefined ? -1 : shown.findIndex((item) => place(item) === wanted);
  const seeking = wanted !== undefined && index < 0 && !complete && shown.length < FAR;
  useEffect(() => {
    if (wanted === undefined || seeking) return;
    if (index < 0) {
      setWanted(undefined);
      return;
    }
    virtual.scrollToIndex(index, { align: "start" });
    // Again once the rows there are measured: until then their heights are estimates.
    const timer = setTimeout(() => {
      virtual.scrollToIndex(index, { align: "start" });
      setWanted(undefined);
    }, SETTLED_MS);
    return () => clearTimeout(timer);
  }, [wanted, seeking, index, virtual]);

  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const onScroll = () => {
    clearTimeout(timer.current);
    if (!enabled || wanted !== undefined) return;
    timer.current = setTimeout(() => {
      const offset = virtual.scrollOffset ?? 0;
      const top = virtual.getVirtualItems().find((row) => row.end > offset);
      const item = top === undefined || top.index === 0 ? undefined : shown[top.index];
      changeEntry({ place: item && place(item) });
    }, SETTLED_MS);
  };
  return { seeking, onScroll };
}
