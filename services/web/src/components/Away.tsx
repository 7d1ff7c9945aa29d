import type { ReactNode } from "react";

/** A link that leaves this page alone; its words where the address is none, or one that may not be opened. */
export function Away({ href, children }: { href: unknown; children: ReactNode }) {
  if (typeof href !== "string" || href === "") return children;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}
