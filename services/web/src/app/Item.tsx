import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { badge } from "@/model/unread";
import classes from "./Navigation.module.css";

interface Props {
  href: string;
  children: ReactNode;
  icon?: ReactNode;
  /** Undefined while it is not known. */
  count?: number | undefined;
  exact?: boolean;
  small?: boolean;
}

/** One place to go to, with what is unread there. */
export function Item({ href, children, icon, count = 0, exact = false, small = false }: Props) {
  const [location] = useLocation();
  const active = location === href || (!exact && location.startsWith(`${href}/`));
  return (
    <Link
      href={href}
      className={classes.item}
      aria-current={active ? "page" : undefined}
      data-small={small || undefined}
      data-unread={count > 0 || undefined}
    >
      {icon}
      <span className={classes.label}>{children}</span>
      {count > 0 && (
        <span className={classes.count}>
          {badge(count)}
          <span className={classes.hidden}> unread</span>
        </span>
      )}
    </Link>
  );
}
