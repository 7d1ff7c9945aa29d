/** What this window may say of its link to the server. Pure. */
import type { ConnectionState } from "@/socket/connection";

export type Link = ConnectionState | "troubled";

/** "live" only where what is new arrives: with the user's own channel joined, and nothing known to be away. */
export function linkOf(connection: ConnectionState, joined: boolean, troubled: boolean): Link {
  if (connection !== "live") return connection;
  if (troubled) return "troubled";
  return joined ? "live" : "connecting";
}
