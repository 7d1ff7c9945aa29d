import { useEffect, useState } from "react";
import { useServices } from "./services";

const TICK_MS = 30_000;

/** Epoch milliseconds by the server's clock, anew every half minute: for times that are told as how long ago. */
export function useNow(): number {
  const { clock } = useServices();
  const [now, setNow] = useState(() => clock.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(clock.now()), TICK_MS);
    return () => clearInterval(timer);
  }, [clock]);
  return now;
}
