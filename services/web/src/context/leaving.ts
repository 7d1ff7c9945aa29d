/** Asks before what is not saved is left: for another page, by Back or Forward, and with the window. */
import { createContext, useContext, useEffect, useState } from "react";
import type { AroundNavHandler } from "wouter";
import { type BrowserLocationHook, useBrowserLocation } from "wouter/use-browser-location";

type Ask = (leave: () => void) => void;

export class Leaving {
  #ask: Ask | undefined;
  /** The path of the page that is not left before the user says so. */
  #page: string | undefined;
  #released: (() => void) | undefined;

  /** Has `ask` decide before this page is left, until {@link release}. */
  guard(ask: Ask): void {
    this.release();
    const { href, pathname } = location;
    const onStep = () => {
      if (location.pathname === pathname) return;
      // This page again. Whichever way the step went, where it led to is one back from here now.
      history.pushState(null, "", href);
      ask(() => {
        this.release();
        history.back();
      });
    };
    const onClose = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("popstate", onStep);
    window.addEventListener("beforeunload", onClose);
    this.#ask = ask;
    this.#page = pathname;
    this.#released = () => {
      window.removeEventListener("popstate", onStep);
      window.removeEventListener("beforeunload", onClose);
    };
  }

  /** Nothing keeps anybody on this page any more. */
  release(): void {
    this.#ask = undefined;
    this.#page = undefined;
    this.#released?.();
    this.#released = undefined;
  }

  /** For the router: where a step back or forward has led is not where this client is before {@link guard} agrees. */
  readonly useLocation: BrowserLocationHook = (options) => {
    const [path, navigate] = useBrowserLocation(options);
    return [this.#page ?? path, navigate];
  };

  /** For the router: every step to another page within this client. */
  readonly around: AroundNavHandler = (navigate, to, options) => {
    const go = () => navigate(to, options);
    if (this.#ask === undefined) go();
    else {
      this.#ask(() => {
        this.release();
        go();
      });
    }
  };
}

export const LeavingContext = createContext(new Leaving());

/** What to call where something is gone and there is nothing to ask about. */
export function useRelease(): () => void {
  const leaving = useContext(LeavingContext);
  return () => leaving.release();
}

/** While something is `unsaved`: `leave` is set when the user wants to leave, and does it; `stay` when not after all. */
export function useAskBeforeLeaving(unsaved: boolean) {
  const leaving = useContext(LeavingContext);
  const [leave, setLeave] = useState<(() => void) | null>(null);
  useEffect(() => {
    if (!unsaved) return;
    leaving.guard((go) => setLeave(() => go));
    return () => leaving.release();
  }, [leaving, unsaved]);
  return { leave, stay: () => setLeave(null) };
}

/** Has the browser ask before a window with something `unsent` is closed: drafts end with their window. */
export function useAskBeforeClosing(unsent: boolean): void {
  useEffect(() => {
    if (!unsent) return;
    const onClose = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", onClose);
    return () => window.removeEventListener("beforeunload", onClose);
  }, [unsent]);
}
