import { Loader } from "@mantine/core";
import { useReported } from "./troubles";
import { unknownWords, useSlow } from "./useSlow";
import classes from "./Waiting.module.css";

interface Props {
  /** What is loaded: "Loading topics". */
  label: string;
  /** Why the last try failed; empty where none did. */
  problem?: string | undefined;
  /** Tries again now what is no query. */
  again?: () => void;
}

/**
 * In place of what is not known yet: that it is loaded. Before long the page says in words that it is not known, and why,
 * once for all that it does not know.
 */
export function Loading({ label, problem = "", again }: Props) {
  const slow = useSlow();
  const words = unknownWords(problem, slow);
  const reported = useReported(words, again);
  return (
    <div className={classes.loading}>
      <Loader size="sm" role="img" aria-label={label} />
      {words !== "" && !reported && <span role="status">{words} It is tried again by itself.</span>}
    </div>
  );
}
