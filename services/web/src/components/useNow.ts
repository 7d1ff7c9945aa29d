import { useEffect, useState } from "react";

const TICK_MS = 30_000;

/** Epoch milliseconds, anew every half minute: for times that are told as how long ago. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
