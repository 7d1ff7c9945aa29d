import { type QueryKey, useQuery } from "@tanstack/react-query";
import { ApiError } from "@/api/errors";
import { useSlow } from "@/components/useSlow";
import { checkLink } from "./entry";

/** What is known of the link that opened a page. */
export type LinkState = "checking" | "usable" | "ended";

export function isEnded(error: unknown): boolean {
  return error instanceof ApiError && error.code === "invalid_link";
}

/** Asks when the page opens whether the link can be used; see {@link useCheckedLink}. */
export function useLinkState(kind: "password_reset" | "email_change", token: string): LinkState {
  return useCheckedLink(["link", kind, token], token !== "", () => checkLink({ kind, token }).then(() => true)).state;
}

/**
 * The state of a link, and what `check` says of it. A check that fails for another reason, or takes long, holds nobody
 * up: the answer to the form says what is wrong.
 */
export function useCheckedLink<T>(queryKey: QueryKey, enabled: boolean, check: () => Promise<T>) {
  const { data, error, isLoading } = useQuery({
    queryKey,
    queryFn: check,
    enabled,
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const slow = useSlow(isLoading);
  const state: LinkState = isEnded(error) ? "ended" : isLoading && !slow ? "checking" : "usable";
  return { state, data };
}
