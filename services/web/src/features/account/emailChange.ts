/** A change of the account's address that waits for its confirmation. Pure. */

/** Whether the address `asked` for is still not that of the account: it may be confirmed in another window. */
export function awaitsConfirmation(asked: string, email: string): boolean {
  return asked !== "" && asked.toLowerCase() !== email.toLowerCase();
}
