/** What the socket's channels say (the gateway's AsyncAPI document describes them). */
import { readJson } from "@/api/json";

export interface JoinReply {
  readonly last_seq: number;
  readonly acked_up_to: number;
  readonly unread: number;
  readonly truncated: boolean;
  readonly first_seq: number;
  readonly missing: number;
  /** The platform was restored from a backup since; what was published after that backup is gone. */
  readonly restored?: boolean;
  /** Removed before the user acknowledged them. */
  readonly expired?: number;
  readonly subscribed: boolean;
  readonly revision?: number;
  /** Of the topic's settings. */
  readonly version?: string;
}

export interface AckedPush {
  readonly up_to: number;
  readonly seqs: readonly number[];
  readonly unread: number;
  readonly expired?: number;
  readonly revision?: number;
}

/** Somebody changed the settings of the topic. */
export interface TopicChangedPush {
  readonly version: string;
}

export interface UnreadPush {
  readonly topic: string;
  readonly unread: number;
  readonly expired?: number;
}

/** Removed before they could be delivered. */
export interface MissingPush {
  readonly missing: number;
  readonly up_to: number;
}

export interface SentPush {
  /** Null where some may have been missed. */
  readonly to: string | null;
}

/** A text frame of protocol version 2 as the client library wants it. */
export function messageOf(text: string): object {
  const [join_ref, ref, topic, event, payload] = readJson(text) as unknown[];
  return { join_ref, ref, topic, event, payload };
}

/** Whether what is new reaches the gateway, if `message` answers a heartbeat. */
export function heartbeatAnswer(message: object): boolean | undefined {
  const { topic, event, payload } = message as { topic?: string; event?: string; payload?: unknown };
  if (topic !== "phoenix" || event !== "phx_reply") return undefined;
  return (payload as { response?: { live?: boolean } }).response?.live !== false;
}

export interface Refusal {
  readonly code?: string;
  readonly reason?: string;
  readonly detail?: string;
}
