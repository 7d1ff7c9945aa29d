import { useCallback, useEffect, useState } from "react";
import { changeEntry, readEntry } from "./entry";

/** Browsers bound the size of an entry of their history. */
const MAX_KEPT = 50;

/** Which notifications of a list are opened, by their places. Back and a reload open them again. */
export function useOpened() {
  const [opened, setOpened] = useState<ReadonlySet<string>>(() => new Set(readEntry().opened));
  useEffect(() => {
    const kept = [...opened].slice(-MAX_KEPT);
    if (kept.join() !== (readEntry().opened ?? []).join()) changeEntry({ opened: kept });
  }, [opened]);
  const open = useCallback((place: string) => setOpened((before) => new Set(before).add(place)), []);
  const toggle = useCallback((place: string) => {
    setOpened((before) => {
      const after = new Set(before);
      if (!after.delete(place)) after.add(place);
      return after;
    });
  }, []);
  return { opened, open, toggle };
}
