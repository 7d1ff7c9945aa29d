import { useCallback } from "react";
import { useLocation, useSearch } from "wouter";

/**
 * What is searched for on this page, from its address: Back, Forward and a reload keep it. Beginning a search is a step
 * that Back undoes; changing the words is not.
 */
export function useAddressQuery(): readonly [string, (query: string) => void] {
  const [location, navigate] = useLocation();
  const query = new URLSearchParams(useSearch()).get("q") ?? "";
  const change = useCallback(
    (wanted: string) => {
      const search = wanted === "" ? "" : `?${new URLSearchParams({ q: wanted })}`;
      navigate(`${location}${search}`, { replace: query !== "" });
    },
    [location, navigate, query],
  );
  return [query, change];
}
