import { type QueryKey, useQuery } from "@tanstack/react-query";
import { ApiError } from "@/api/errors";
import { useSlow } from "@/components/useSlow";
import { checkLink } from "./entry";
import type { OpenedLink } from "./useLinkToken";

/** What is known of the link that opened a page. */
export type LinkState = "checking" | "usable" | "ended";

export function isEnded(error: unknown): boolean {
  return error instanceof ApiError && error.code === "invalid_link";
}

/** Asks when the page opens whether the link can be used; see {@link useCheckedLink}. */
export function useLinkState(kind: "password_reset" | "email_change", link: OpenedLink): LinkState {
  return useCheckedLink([kind], link, () => checkLink({ kind, token: link.token }).then(() => true)).state;
}

/**
 * The state of a link, and what `check` says of it, each time that it is opened and when one comes back to the window: it
 * may have been used meanwhile. A check that fails for another reason, or takes long, holds nobody up: the answer to the
 * form says what is wrong.
 */
export function useCheckedLink<T>(key: QueryKey, { token, opened }: OpenedLink, check: () => Promise<T>) {
  const { data, error, isLoading } = useQuery({
    queryKey: ["link", ...key, token, opened],
    queryFn: check,
    enabled: token !== "",
    retry: false,
    staleTime: 0,
    gcTime: 0,
  });
  const slow = useSlow(isLoading);
  const state: LinkState = isEnded(error) ? "ended" : isLoading && !slow ? "checking" : "usable";
  return { state, data };
}
