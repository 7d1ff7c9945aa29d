/** The keys of the pages, which act wherever one is but in a field that takes text. */

export const KEYS: readonly (readonly [readonly string[], string])[] = [
  [["j", "k"], "The next and the previous notification"],
  [["Enter"], "Open it, or close it"],
  [["a"], "Acknowledge it"],
  [["u"], "Mark it as unread"],
  [["/"], "Search the notifications of the page, or topics on their page"],
  [["Ctrl", "K"], "Go to one of your topics"],
  [["Ctrl", "Enter"], "Publish what you wrote"],
  [["?"], "Show these keys"],
];

/** What {@link pageKey} looks at of a `KeyboardEvent`. */
export interface Pressed {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  /** Something nearer has acted on it. */
  readonly defaultPrevented: boolean;
}

const TAKES_KEYS =
  "input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable], [role=dialog], [role=menu], [role=listbox]";

/** The key that acts on the page, if `pressed` is one: no shortcut of the browser, no text, and not in a dialog or a menu. */
export function pageKey(pressed: Pressed, focused: Pick<Element, "closest"> | null): string | undefined {
  const { key, ctrlKey, metaKey, altKey, defaultPrevented } = pressed;
  if (ctrlKey || metaKey || altKey || defaultPrevented) return undefined;
  return focused?.closest(TAKES_KEYS) == null ? key : undefined;
}
