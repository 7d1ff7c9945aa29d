/** Structured data as rows, as emails show it: what is nested has the path to it for a name. Pure. */
import { ExactNumber } from "@/api/json";

export type Data = Readonly<Record<string, unknown>>;

export interface DataRow {
  readonly path: readonly string[];
  readonly value: unknown;
}

/** Objects within objects become rows of their own down to here, and JSON below. */
const DEEPEST = 2;

export function rowsOf(data: Data, within: readonly string[] = []): readonly DataRow[] {
  return Object.entries(data).flatMap(([name, value]) => {
    const path = [...within, name];
    const nested = isObject(value) && within.length < DEEPEST && Object.keys(value).length > 0;
    return nested ? rowsOf(value, path) : [{ path, value }];
  });
}

function isObject(value: unknown): value is Data {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}
