/** Why parts of a page are not there yet: said once for all of them, with one way to try them all again. */
import { createContext, useContext, useEffect, useRef } from "react";
import { NO_ANSWER } from "@/api/errors";
import { Observable } from "@/api/observable";

export interface Trouble {
  readonly words: string;
  /** Tries it again now; without it, the page reads what is missing by itself. */
  readonly again: (() => void) | undefined;
}

/** What the parts that are shown cannot show at present. */
export class Troubles {
  readonly all = new Observable<readonly Trouble[]>([]);

  /** Hold `trouble` until the returned function is called. */
  add(trouble: Trouble): () => void {
    this.all.update((all) => [...all, trouble]);
    return () => this.all.update((all) => all.filter((one) => one !== trouble));
  }
}

/** Null where each part says for itself what is the matter. */
export const TroublesContext = createContext<Troubles | null>(null);

/** The sentences of all, each once; that nobody has answered only where there is nothing better to say. */
export function said(all: readonly Trouble[]): string {
  const words = new Set(all.map((trouble) => trouble.words));
  if (words.size > 1) words.delete(NO_ANSWER);
  return [...words].join(" ");
}

/** Has the page say `words`, for as long as they are not empty; returns whether it does, else the caller says them. */
export function useReported(words: string, again?: () => void): boolean {
  const troubles = useContext(TroublesContext);
  const latest = useRef(again);
  latest.current = again;
  useEffect(() => {
    if (troubles !== null && words !== "") return troubles.add({ words, again: () => latest.current?.() });
  }, [troubles, words]);
  return troubles !== null;
}
