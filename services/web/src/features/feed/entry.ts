/** What the page's entry of the browser's history holds of a list, so that Back and a reload show it again. */
export interface Entry {
  /** The notification at the top. */
  readonly place?: string | undefined;
  /** The notifications that are opened, oldest opening first. */
  readonly opened?: readonly string[] | undefined;
}

export function readEntry(): Entry {
  const { place, opened } = (history.state ?? {}) as Readonly<Record<string, unknown>>;
  return {
    place: typeof place === "string" ? place : undefined,
    opened: Array.isArray(opened) ? opened.filter((one) => typeof one === "string") : undefined,
  };
}

export function changeEntry(change: Entry): void {
  history.replaceState({ ...history.state, ...change }, "");
}
