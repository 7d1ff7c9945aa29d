import "@mantine/core/styles/Kbd.css";
import { Kbd } from "@mantine/core";
import classes from "./KeyList.module.css";

/** Keys beside what they do. */
export function KeyList({ keys }: { keys: readonly (readonly [readonly string[], string])[] }) {
  return (
    <ul className={classes.list}>
      {keys.map(([names, what]) => (
        <li key={what}>
          <span>{what}</span>
          <span className={classes.keys}>
            {names.map((name) => (
              <Kbd key={name} size="xs" ml={4}>
                {name}
              </Kbd>
            ))}
          </span>
        </li>
      ))}
    </ul>
  );
}
