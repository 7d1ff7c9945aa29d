import classes from "./DataTable.module.css";

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
        {value}
      </span>
    );
  if (typeof value !== "object") return <code>{String(value)}</code>;
  if (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one !== "object"))
    return <span dir="auto">{value.join(", ")}</span>;
  return <pre className={classes.json}>{JSON.stringify(value, null, 2)}</pre>;
}
