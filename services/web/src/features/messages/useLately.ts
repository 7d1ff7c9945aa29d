import { useEffect, useRef } from "react";
import { useObservable, useOwn } from "@/context/services";

const GATHER_MS = 300;

/**
 * Runs `read` soon after what is unread of the user's direct messages has changed, or the connection or `also`: at most
 * once in a while, so that a flood of messages is not a flood of requests.
 */
export function useLately(read: () => unknown, also = 0): void {
  const { live } = useOwn();
  const connected = useObservable(live.connection.state) === "live";
  const unread = useObservable(live.unread).of.get(live.ownInbox);
  const latest = useRef(read);
  const first = useRef(true);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    latest.current = read;
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: what changes is the reason, and is not read
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      latest.current();
    }, GATHER_MS);
  }, [connected, unread, also]);
  useEffect(() => () => clearTimeout(timer.current), []);
}
