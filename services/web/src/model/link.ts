/** What this window may say of its link to the server. Pure. */
import type { ConnectionState } from "@/socket/connection";

export type Link = ConnectionState | "troubled" | "silent";

interface Known {
  readonly connection: ConnectionState;
  /** Whether the server has answered lately. */
  readonly answering: boolean;
  /** Whether the user's own channel is joined. */
  readonly joined: boolean;
  /** Whether a part of the server is known to be away. */
  readonly troubled: boolean;
}

/** "live" only where what is new arrives: with the user's own channel joined, and nothing known to be away. */
export function linkOf({ connection, answering, joined, troubled }: Known): Link {
  if (connection !== "live") return connection;
  if (!answering) return "silent";
  if (troubled) return "troubled";
  return joined ? "live" : "connecting";
}
