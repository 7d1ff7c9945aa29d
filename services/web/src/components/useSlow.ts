import { useEffect, useState } from "react";
import { NO_ANSWER, SLOW_MS } from "@/api/errors";

/** What to say while something is not known that is tried again by itself; nothing at first. */
export function unknownWords(problem: string, slow: boolean): string {
  if (problem === "") return slow ? NO_ANSWER : "";
  return problem.replace(/ Try again[^.]*\.$/, "");
}

/** Whether something has been `active` for so long that its user should read why. */
export function useSlow(active = true): boolean {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    setSlow(false);
    if (!active) return;
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, [active]);
  return slow;
}
