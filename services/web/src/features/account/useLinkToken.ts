import { useEffect, useState } from "react";
import { tokenOf } from "./linkToken";

/** A link that was opened. */
export interface OpenedLink {
  /** The secret in it; empty without one. */
  readonly token: string;
  /** When it was opened here, in milliseconds: another opening of the same link is another one. */
  readonly opened: number;
}

/**
 * The link that opened this page. Its secret is behind the `#`, so that no server sees it, and moves from the address into
 * the state of this entry of the tab's history: a reload, and going back to it, keep it, also once it was used. What is
 * shown then is what the server says of it. Each opening in the same tab, of whichever link, is a new one.
 */
export function useLinkToken(): OpenedLink {
  const [link, setLink] = useState(opening);
  useEffect(() => {
    const path = window.location.pathname;
    const again = () => {
      // One who goes back to another page leaves this one as it is.
      if (window.location.pathname === path) setLink(opening());
    };
    window.addEventListener("popstate", again);
    window.addEventListener("hashchange", again);
    return () => {
      window.removeEventListener("popstate", again);
      window.removeEventListener("hashchange", again);
    };
  }, []);
  useEffect(() => {
    if (link.token !== "") window.history.replaceState({ link: link.token }, "", window.location.pathname);
  }, [link]);
  return link;
}

function opening(): OpenedLink {
  return { token: tokenOf(window.location.hash, window.history.state), opened: performance.now() };
}
