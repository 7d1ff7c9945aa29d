/**
 * Parts of the page that are loaded when they are needed.
 *
 * Each part is declared beside its use, so no file has to know them all: a list of them would import every page, and
 * every page would import the list.
 */
import { type ComponentType, type LazyExoticComponent, lazy } from "react";
import { PartMissing } from "./Fallible";

/** Loads a part; `loaded`: what came of it, where it is {@link shared}. */
interface Load<T> {
  (): Promise<T>;
  loaded?: T;
}

// biome-ignore lint/suspicious/noExplicitAny: React's own bound of lazy(); it keeps each component's props
type LoadPart<T extends ComponentType<any>> = Load<{ default: T }>;

const AFTER_MS = 3_000;

/** The loads of the parts declared so far; loading a part may declare more. */
const declared = new Set<() => Promise<unknown>>();

/** Return a load that all who ask share, so that none of them goes without its styles; one that failed is begun anew. */
export function shared<T>(load: () => Promise<T>): Load<T> {
  let loading: Promise<T> | undefined;
  const part: Load<T> = () => {
    loading ??= load().then(
      (loaded) => {
        part.loaded = loaded;
        return loaded;
      },
      (cause: unknown) => {
        loading = undefined;
        throw cause;
      },
    );
    return loading;
  };
  return part;
}

/** Begin a load of what is about to be shown; one that fails is begun anew when it is shown. */
export function ahead(load: () => Promise<unknown>): void {
  load().catch(() => undefined);
}

/** Return a component that is loaded when it is first shown, and that throws {@link PartMissing} where that fails. */
// biome-ignore lint/suspicious/noExplicitAny: see LoadPart
export function lazyPart<T extends ComponentType<any>>(load: LoadPart<T>): LazyExoticComponent<T> {
  const orMissing = orPartMissing(load);
  return lazy(() => (load.loaded === undefined ? orMissing() : atOnce(load.loaded)));
}

/** What is awaited is not shown for 0.3 seconds, as React lets what stands in for it be seen; so what is there is not. */
function atOnce<T>(loaded: T): Promise<T> {
  // biome-ignore lint/suspicious/noThenProperty: all that lazy() needs of a promise, whose own is never called at once
  return { then: (use: (loaded: T) => void) => use(loaded) } as unknown as Promise<T>;
}

/** Like {@link lazyPart}, and loaded by {@link loadPartsSoon} as well: offline it must be there. */
// biome-ignore lint/suspicious/noExplicitAny: see LoadPart
export function offlinePart<T extends ComponentType<any>>(load: LoadPart<T>): LazyExoticComponent<T> {
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
