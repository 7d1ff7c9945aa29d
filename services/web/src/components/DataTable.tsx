import classes from "./DataTable.module.css";

type Data = Readonly<Record<string, unknown>>;

/** Objects within objects are shown as tables down to here, and as JSON below. */
const DEEPEST = 2;

/** Structured data to be read: names beside values; what is nested deep, or a list of things, as JSON. */
export function DataTable({ data, depth = 0 }: { data: Data; depth?: number }) {
  return (
    <dl className={classes.list}>
      {Object.entries(data).map(([name, value]) => (
        <div key={name} className={classes.row}>
          <dt>
            <bdi>{name}</bdi>
          </dt>
          <dd>
            <Value value={value} depth={depth} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ value, depth }: { value: unknown; depth: number }) {
  if (value === null || value === "")
    return <span className={classes.nothing}>{value === null ? "null" : "empty"}</span>;
  if (typeof value === "string")
    return (
      <span className={classes.text} dir="auto">
        {value}
      </span>
    );
  if (typeof value !== "object") return <code>{String(value)}</code>;
  if (Array.isArray(value)) {
    if (value.length > 0 && value.every((one) => typeof one !== "object"))
      return <span dir="auto">{value.join(", ")}</span>;
  } else if (depth < DEEPEST && Object.keys(value).length > 0) {
    return <DataTable data={value as Data} depth={depth + 1} />;
  }
  return <pre className={classes.json}>{JSON.stringify(value, null, 2)}</pre>;
}
