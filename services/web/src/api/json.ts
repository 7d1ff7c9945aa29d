/** JSON with its numbers as they were written, also those that a double cannot hold. Pure. */

const TOKEN = /"(?:[^"\\]|\\.)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Occurs in each text with such a number: a double holds all of 15 digits without an exponent. */
const SUSPECT = /[:,[]\s*-?(?:[\d.]{16}|[\d.]+[eE])/;

/** A number that a double would change, as its JSON text. */
export class ExactNumber {
  constructor(readonly source: string) {}

  toString(): string {
    return this.source;
  }
}

/** Like `JSON.parse`, with an {@link ExactNumber} for each number that a double would change. Throws `SyntaxError`. */
export function readJson(text: string): unknown {
  if (!SUSPECT.test(text)) return JSON.parse(text);
  // Not every browser shows a reviver the source of a number. No publisher can know the mark that stands in for that.
  const mark = `${Math.random()} `;
  const marked = text.replace(TOKEN, (token) => (token.startsWith('"') || isHeld(token) ? token : `"${mark}${token}"`));
  return JSON.parse(marked, (_, value) =>
    typeof value === "string" && value.startsWith(mark) ? new ExactNumber(value.slice(mark.length)) : value,
  );
}

/** JSON without the whitespace between its parts. */
export function compact(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|\s+/g, (token) => (token.startsWith('"') ? token : ""));
}

function isHeld(source: string): boolean {
  const value = Number(source);
  return Number.isFinite(value) && decimal(source) === decimal(String(value));
}

/** The digits of a number without zeros at their ends, and the power of ten that they count. */
function decimal(source: string): string {
  const [number = "", exponent = "0"] = source.toLowerCase().split("e");
  const [whole = "", fraction = ""] = number.replace("-", "").split(".");
  const digits = (whole + fraction).replace(/^0+/, "");
  let end = digits.length;
  while (digits[end - 1] === "0") end -= 1;
  return end === 0 ? "0" : `${digits.slice(0, end)}e${Number(exponent) - fraction.length + digits.length - end}`;
}
