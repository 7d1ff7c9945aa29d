import { Fragment } from "react";
import { Away } from "./Away";
import classes from "./DataTable.module.css";
import { addressOf, indented, isShortList, isSimple } from "./values";

interface Row {
  /** The names that lead to the value. */
  readonly path: readonly string[];
  readonly value: unknown;
}

/** Structured data to be read: names beside values; what is nested deep, or a list of things, as JSON. */
export function DataTable({ rows }: { rows: readonly Row[] }) {
  return (
    <dl className={classes.list}>
      {rows.map(({ path, value }) => (
        <div key={JSON.stringify(path)} className={classes.row}>
          <dt>
            <bdi>{path.join(".")}</bdi>
          </dt>
          <dd>
            <Value value={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ value }: { value: unknown }) {
  if (value === null || value === "")
    return <span className={classes.nothing}>{value === null ? "null" : "empty"}</span>;
  if (typeof value === "string")
    return (
      <span className={classes.text} dir="auto">
        <Linked value={value} />
      </span>
    );
  if (isSimple(value)) return <code>{String(value)}</code>;
  if (isShortList(value))
    return (
      <span dir="auto">
        {value.map((one, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: nothing here has a state
          <Fragment key={at}>
            {at > 0 && ", "}
            <Linked value={one} />
          </Fragment>
        ))}
      </span>
    );
  return <pre className={classes.json}>{indented(value)}</pre>;
}

function Linked({ value }: { value: unknown }) {
  return <Away href={addressOf(value)}>{String(value)}</Away>;
}
