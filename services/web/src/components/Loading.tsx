import { Loader } from "@mantine/core";
import { unknownWords, useSlow } from "./useSlow";
import classes from "./Waiting.module.css";

interface Props {
  /** What is loaded: "Loading topics". */
  label: string;
  /** Why the last try failed; empty where none did. */
  problem?: string | undefined;
}

/** In place of what is not known yet: that it is loaded, and before long in words that it is not known, and why. */
export function Loading({ label, problem = "" }: Props) {
  const slow = useSlow();
  const words = unknownWords(problem, slow);
  return (
    <div className={classes.loading}>
      <Loader size="sm" aria-label={label} />
      {words !== "" && <span role="status">{words} It is tried again by itself.</span>}
    </div>
  );
}
