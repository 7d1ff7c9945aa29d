/**
 * Parts of the page that are loaded when they are needed.
 *
 * Each part is declared beside its use, so no file has to know them all: a list of them would import every page, and
 * every page would import the list.
 */
import { type ComponentType, type LazyExoticComponent, lazy } from "react";
import { PartMissing } from "./Fallible";

// biome-ignore lint/suspicious/noExplicitAny: React's own bound of lazy(); it keeps each component's props
type Load<T extends ComponentType<any>> = () => Promise<{ default: T }>;

const AFTER_MS = 3_000;

/** The loads of the parts declared so far; loading a part may declare more. */
const declared = new Set<() => Promise<unknown>>();

/** Return a component that is loaded when it is first shown, and that throws {@link PartMissing} where that fails. */
// biome-ignore lint/suspicious/noExplicitAny: see Load
export function lazyPart<T extends ComponentType<any>>(load: Load<T>): LazyExoticComponent<T> {
  return lazy(orPartMissing(load));
}

/** Like {@link lazyPart}, and loaded by {@link loadPartsSoon} as well: offline it must be there. */
// biome-ignore lint/suspicious/noExplicitAny: see Load
export function offlinePart<T extends ComponentType<any>>(load: Load<T>): LazyExoticComponent<T> {
  declared.add(load);
  return lazyPart(load);
}

/** Load every declared part soon, one after the other; returns a function that cancels it. A failed one is loaded when needed. */
export function loadPartsSoon(): () => void {
  let cancelled = false;
  const timer = setTimeout(async () => {
    // A set's iteration includes what is added to it meanwhile: the parts of parts.
    for (const load of declared) {
      if (cancelled) return;
      await load().catch(() => undefined);
    }
    document.documentElement.dataset.parts = "loaded";
  }, AFTER_MS);
  return () => {
    cancelled = true;
    clearTimeout(timer);
  };
}

function orPartMissing<T>(load: () => Promise<T>): () => Promise<T> {
  return () =>
    load().catch((cause: unknown) => {
      throw new PartMissing("A part of the page could not be loaded.", { cause });
    });
}
