/** Values of structured data as text. Pure. */
import { ExactNumber } from "@/api/json";

/** Levels that are indented: of lines deeper inside, the margin would be longer than they are. */
const DEEPEST = 20;

/** Values that are read one beside the other; more of them are JSON. */
const FEW = 200;

/** Indented JSON, with each number as it was written. */
export function indented(value: unknown, margin = "", levels = DEEPEST): string {
  if (value instanceof ExactNumber) return value.source;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = `${margin}  `;
  const within = (one: unknown) => indented(one, inner, levels - 1);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const parts = Array.isArray(value)
    ? value.map(within)
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${within(one)}`);
  if (levels <= 0) return `${open}${parts.join(", ")}${close}`;
  return parts.length === 0 ? open + close : `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${margin}${close}`;
}

/** Whether a value is one word of a list, with no parts of its own. */
export function isSimple(value: unknown): boolean {
  return typeof value !== "object" || value instanceof ExactNumber;
}

/** Whether a value is a list of a few words. */
export function isShortList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length > 0 && value.length <= FEW && value.every(isSimple);
}

/** The address that a text is, where a browser may open it as it does the links of Markdown. */
export function addressOf(value: unknown): string | undefined {
  return typeof value === "string" && /^https?:\/\/\S+$/i.test(value) ? value : undefined;
}
