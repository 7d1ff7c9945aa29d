/** What the socket's channels say (the gateway's AsyncAPI document describes them). */
export interface JoinReply {
  readonly last_seq: number;
  readonly acked_up_to: number;
  readonly unread: number;
  readonly truncated: boolean;
  readonly first_seq: number;
  readonly missing: number;
  /** Removed before the user acknowledged them. */
  readonly expired?: number;
  readonly subscribed: boolean;
}

export interface AckedPush {
  readonly up_to: number;
  readonly seqs: readonly number[];
  readonly unread: number;
  readonly expired?: number;
}

export interface UnreadPush {
  readonly topic: string;
  readonly unread: number;
  readonly expired?: number;
}

export interface Refusal {
  readonly code?: string;
  readonly reason?: string;
  readonly detail?: string;
}
