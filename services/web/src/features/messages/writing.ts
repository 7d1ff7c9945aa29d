/** The state of an entry in the window's history: the list of messages is to be shown with its composer. */
export const WRITING = { writing: true } as const;

/** Whether this page was opened with it. */
export function isWriting(): boolean {
  return (window.history.state as Partial<typeof WRITING> | null)?.writing === true;
}
