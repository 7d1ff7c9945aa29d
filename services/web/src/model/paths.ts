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

/** Whom one sent something in `topic` to; undefined where it is not another's inbox. */
export function recipientOf(topic: string, ownInbox: string): string | undefined {
  return topic.startsWith(INBOX) && topic !== ownInbox ? topic.slice(INBOX.length) : undefined;
}

/** The number in such an address; null for what no notification has. */
export function seqOf(text: string): number | null {
  return /^[1-9][0-9]{0,15}$/.test(text) ? Number(text) : null;
}
