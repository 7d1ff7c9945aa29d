/** Checks of a notification that somebody writes, before it is taken. Pure. */
import { compact } from "@/api/json";
import type { NewNotification, Priority } from "@/api/types";
import type { Message } from "@/model/outbox";

const MAX_DATA_BYTES = 98_304;

/** What the form holds. */
export interface Written {
  /** The person, or the topic of a message that was refused: it may be the reason. */
  readonly to: string;
  readonly title: string;
  readonly body: string;
  readonly priority: Priority;
  readonly withData: boolean;
  /** The data as text. */
  readonly text: string;
}

export const BLANK: Written = { to: "", title: "", body: "", priority: "normal", withData: false, text: "" };

export interface ParsedData {
  readonly data: Record<string, unknown> | undefined;
  readonly problem: string;
}

/** Text as the data of a notification: a JSON object, or nothing. */
export function parseData(text: string): ParsedData {
  if (text.trim() === "") return { data: undefined, problem: "" };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { data: undefined, problem: "This is not JSON yet." };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { data: undefined, problem: 'Data is an object, like {"host": "web-1"}.' };
  }
  if (new TextEncoder().encode(compact(text)).length > MAX_DATA_BYTES) {
    return { data: undefined, problem: "Data is 96 KiB at most." };
  }
  return { data: value as Record<string, unknown>, problem: "" };
}

/** The draft of what is written to a topic, or to a person. */
export function draftName(topic: string | undefined): string {
  return topic === undefined ? "message" : `publish.${topic}`;
}

/** What the form holds to write a message anew that was not sent. */
export function writtenOf({ target, body, data }: Message): Written {
  const text = data ?? (body.data == null ? "" : JSON.stringify(body.data, null, 2));
  return {
    to: target,
    title: body.title ?? "",
    body: body.body ?? "",
    priority: body.priority ?? "normal",
    withData: text !== "",
    text,
  };
}

/** Whether nothing was written that would be missed. */
export function isBlank({ to, title, body, text }: Written): boolean {
  return [to, title, body, text].every((part) => part.trim() === "");
}

/** What is kept of the form: where it goes to is nothing by itself, unless that is a person who was typed. */
export function keptOf(written: Written, isPerson: boolean): Written {
  return isPerson || !isBlank({ ...written, to: "" }) ? written : BLANK;
}

/** Whether there is nothing to publish. */
export function isEmpty(draft: NewNotification): boolean {
  const hasData = draft.data != null && Object.keys(draft.data).length > 0;
  return !draft.title?.trim() && !draft.body?.trim() && !hasData;
}
