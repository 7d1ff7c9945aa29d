import { useEffect, useState } from "react";

/**
 * The secret of the link that opened this page, empty without one. It is behind the `#`, so that no server sees it, and
 * is taken out of the address, so that it stays in no history. It changes when another link is opened in the same tab.
 */
export function useLinkToken(): string {
  const [token, setToken] = useState(() => window.location.hash.slice(1));
  useEffect(() => {
    const another = () => {
      if (window.location.hash !== "") setToken(window.location.hash.slice(1));
    };
    window.addEventListener("hashchange", another);
    return () => window.removeEventListener("hashchange", another);
  }, []);
  useEffect(() => {
    if (token !== "") window.history.replaceState(window.history.state, "", window.location.pathname);
  }, [token]);
  return token;
}
