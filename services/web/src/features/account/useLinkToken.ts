import { useEffect, useState } from "react";

/**
 * The secret of the link that opened this page, empty without one. It is behind the `#`, so that no server sees it, and
 * is taken out of the address, so that it stays in no history.
 */
export function useLinkToken(): string {
  const [token] = useState(() => window.location.hash.slice(1));
  useEffect(() => {
    if (token !== "") window.history.replaceState(window.history.state, "", window.location.pathname);
  }, [token]);
  return token;
}
