/** The addresses of notifications in this client. Pure. */

const INBOX = "user:";

/** The page of one notification; of an inbox topic, one's own. */
export function notificationPath(topic: string, seq: number): string {
  return `${topic.startsWith(INBOX) ? "/messages" : `/topics/${topic}`}/n/${seq}`;
}

/** The page of the direct messages with one other; ids need no encoding. */
export function threadPath(user: string): string {
  return `/messages/with/${user}`;
}

/** The number in such an address; undefined for one that no notification has. */
export function seqOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9][0-9]{0,15}$/.test(text) ? Number(text) : undefined;
}
