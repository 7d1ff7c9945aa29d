import { useCallback, useEffect, useState } from "react";
import { tokenOf } from "./linkToken";

/**
 * The secret of the link that opened this page, empty without one, and what forgets it once it was used. It is behind the
 * `#`, so that no server sees it, and moves from the address into the state of this entry of the tab's history: a reload
 * keeps it. It changes when another link is opened in the same tab.
 */
export function useLinkToken(): readonly [string, () => void] {
  const [token, setToken] = useState(() => tokenOf(window.location.hash, window.history.state));
  useEffect(() => {
    const another = () => {
      if (window.location.hash !== "") setToken(tokenOf(window.location.hash, null));
    };
    window.addEventListener("hashchange", another);
    return () => window.removeEventListener("hashchange", another);
  }, []);
  useEffect(() => {
    if (token !== "") window.history.replaceState({ link: token }, "", window.location.pathname);
  }, [token]);
  const forget = useCallback(() => window.history.replaceState(null, "", window.location.pathname), []);
  return [token, forget];
}
