/** The secret of a link: in the fragment of the address, else in the state of the history's entry. Pure. */
export function tokenOf(hash: string, state: unknown): string {
  const kept = (state as { readonly link?: unknown } | null)?.link;
  return hash.slice(1) || (typeof kept === "string" ? kept : "");
}
