/**
 * What the user did that the server has not confirmed: sent in order, once, however often it has to be tried. Pure.
 *
 * Each entry's key makes repeating it harmless. The server remembers a key for a day, so an entry that was tried and
 * whose outcome is still unknown after that is not repeated by itself: the user is told.
 */
import { ApiError, NO_ANSWER } from "@/api/errors";
import { compact, readJson } from "@/api/json";
import type { NewNotification } from "@/api/types";
import type { Ack, Unack } from "./acks";

interface Common {
  /** Idempotency key. */
  readonly key: string;
  /** Epoch milliseconds of the doing, and of the first try. */
  readonly at: number;
  readonly triedAt?: number;
  /** Why it is not sent any more. */
  readonly problem?: string;
}

interface Content {
  readonly body: NewNotification;
  /** The JSON of the data as the user wrote it: numbers do not survive being read. */
  readonly data?: string | undefined;
}

export type Entry = Common &
  (
    | ({ readonly kind: "publish"; readonly target: string } & Content)
    | ({ readonly kind: "send"; readonly target: string } & Content)
    | { readonly kind: "ack"; readonly target: string; readonly body: Ack }
    | { readonly kind: "unack"; readonly target: string; readonly body: Unack }
  );

export type Message = Extract<Entry, { kind: "publish" | "send" }>;

export const MAX_ENTRIES = 200;
export const MAX_CHARACTERS = 1_000_000;

export const UNKNOWN_OUTCOME =
  "It is not known yet whether the server took it; it is sent again by itself, and is there once.";

const KEY_LIFETIME_MS = 23 * 3_600_000;

/** Why `entry` cannot be taken beside `entries`, if so. */
export function full(entries: readonly Entry[], entry: Entry): string | undefined {
  const size = [...entries, entry].reduce((sum, one) => sum + JSON.stringify(one).length, 0);
  if (entries.length < MAX_ENTRIES && size <= MAX_CHARACTERS) return undefined;
  return "Too much is waiting to be sent; this one was not taken. Try again when you are connected.";
}

/** In the order of the doing. */
export function ordered(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : 1));
}

/** The next entry to send. One that was refused holds nothing up. */
export function nextToSend(entries: readonly Entry[]): Entry | undefined {
  return ordered(entries).find((entry) => entry.problem === undefined);
}

/** The entry as it stands before a try at `now`; with a problem when it must not be tried again. */
export function beforeTry(entry: Entry, now: number): Entry {
  if (isMessage(entry) && entry.triedAt !== undefined && now - entry.triedAt > KEY_LIFETIME_MS) {
    return { ...entry, problem: "It is not known whether this was sent: look before you send it again." };
  }
  return { ...entry, triedAt: entry.triedAt ?? now };
}

/** The entry after a try that failed: it waits, or it has a problem. Acknowledging what is gone is done, and so is what cannot be taken back. */
export function afterFailure(entry: Entry, error: unknown): Entry | "done" {
  if (!(error instanceof ApiError)) return { ...entry, problem: "Something went wrong in this page." };
  if (error.passes || error.status === 401) return entry;
  if (!isMessage(entry)) return "done";
  return { ...entry, problem: error.message };
}

function isMessage(entry: Entry): entry is Message {
  return entry.kind === "publish" || entry.kind === "send";
}

/** The JSON of the request that publishes a message. */
export function requestOf({ body, data }: Content): string {
  const rest = JSON.stringify(body);
  return data === undefined ? rest : `{"data":${compact(data)}${rest === "{}" ? "" : ","}${rest.slice(1)}`;
}

/** A message as a notification is shown. */
export function contentOf({ body, data }: Content) {
  const { title = "", body: text = "", data: read = null } = body;
  return { title, body: text, data: data === undefined ? read : (readJson(data) as Record<string, unknown>) };
}

/** Why a try that may be repeated failed. What the server says of an unknown outcome is for programs, which have the key. */
export function whyWaiting(error: ApiError): string {
  return error.code === "deadline_exceeded" ? UNKNOWN_OUTCOME : error.message;
}

/** How a message that is not confirmed stands, where `problem` is why the last try failed. */
export function statusText(message: Message, problem: string): string {
  if (message.problem !== undefined) return message.problem;
  if (mayBeTaken(problem)) return `Sending. ${problem}`;
  return problem === "" ? "Sending" : `Waiting to be sent. ${problem}`;
}

/** Whether it can be discarded: not while a server may have taken it. */
export function canBeDiscarded(message: Message, problem: string): boolean {
  return message.problem !== undefined || (problem !== "" && !mayBeTaken(problem));
}

/** Whether the last try has failed, or waits, in such a way that a server may have taken the message. */
function mayBeTaken(problem: string): boolean {
  return problem === NO_ANSWER || problem === UNKNOWN_OUTCOME;
}

/** Messages on their way to `topic` (or, without one, to people), in their order. */
export function messagesTo(entries: readonly Entry[], topic: string | undefined): Message[] {
  return ordered(entries).filter((entry): entry is Message =>
    topic === undefined ? entry.kind === "send" : entry.kind === "publish" && entry.target === topic,
  );
}
