/** Values of structured data as text. Pure. */
import { ExactNumber } from "@/api/json";

/** Indented JSON, with each number as it was written. */
export function indented(value: unknown, margin = ""): string {
  if (value instanceof ExactNumber) return value.source;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = `${margin}  `;
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const parts = Array.isArray(value)
    ? value.map((one) => indented(one, inner))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${indented(one, inner)}`);
  return parts.length === 0 ? open + close : `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${margin}${close}`;
}

/** Whether a value is one word of a list, with no parts of its own. */
export function isSimple(value: unknown): boolean {
  return typeof value !== "object" || value instanceof ExactNumber;
}

/** The address that a text is, where a browser may open it as it does the links of Markdown. */
export function addressOf(value: unknown): string | undefined {
  return typeof value === "string" && /^https?:\/\/\S+$/i.test(value) ? value : undefined;
}
