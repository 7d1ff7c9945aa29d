/** Structured data as rows, as emails show it: what is nested has the path to it for a name. Pure. */
import { ExactNumber } from "@/api/json";

export type Data = Readonly<Record<string, unknown>>;

export interface DataRow {
  readonly path: readonly string[];
  readonly value: unknown;
}

/** Objects within objects become rows of their own down to here, and JSON below. */
const DEEPEST = 2;

/** Rows, and characters of a row's names together, above which all of it is one value: a page must not stand still for it. */
const MAX_ROWS = 200;
const MAX_PATH = 400;

export function rowsOf(data: Data): readonly DataRow[] {
  const rows = rowsWithin(data, []);
  const isFew = rows.length <= MAX_ROWS && rows.every(({ path }) => lengthOf(path) <= MAX_PATH);
  return isFew ? rows : [{ path: ["data"], value: data }];
}

function rowsWithin(data: Data, within: readonly string[]): readonly DataRow[] {
  return Object.entries(data).flatMap(([name, value]) => {
    const path = [...within, name];
    const nested = isObject(value) && within.length < DEEPEST && Object.keys(value).length > 0;
    return nested ? rowsWithin(value, path) : [{ path, value }];
  });
}

function lengthOf(path: readonly string[]): number {
  return path.reduce((sum, name) => sum + name.length, 0);
}

function isObject(value: unknown): value is Data {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}
