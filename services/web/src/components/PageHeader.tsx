import { Title } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./PageHeader.module.css";
import { useTitle } from "./useTitle";

interface Props {
  title: string;
  /** Beside the title, in quieter type. */
  note?: ReactNode;
  /** What one can do here. */
  children?: ReactNode;
  /** Stands before the name of the program in the window's title. */
  unread?: number | undefined;
}

/** The top of each page: what it is, and what can be done with it. */
export function PageHeader({ title, note, children, unread = 0 }: Props) {
  useTitle(unread > 0 ? `(${unread}) ${title}` : title);
  return (
    <header className={classes.header}>
      <div className={classes.inner}>
        <div className={classes.text}>
          <Title order={1} className={classes.title} dir="auto" title={title}>
            {title}
          </Title>
          {note !== undefined && <div className={classes.note}>{note}</div>}
        </div>
        <div className={classes.actions}>{children}</div>
      </div>
    </header>
  );
}
