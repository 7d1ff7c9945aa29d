/** Words for people: times, sizes, and a notification in one line. Pure. */
import type { Notification } from "@/api/types";
import { plainLines } from "./plain";

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "medium" });

/** How long ago: "now", "5 min. ago", then the time of the day, then the date. */
export function when(time: string, now: number): string {
  const at = new Date(time);
  const seconds = (now - at.getTime()) / 1000;
  if (seconds < 45) return "now";
  if (seconds < 3_600) return RELATIVE.format(-Math.round(seconds / 60), "minute");
  if (at.toDateString() === new Date(now).toDateString()) return CLOCK.format(at);
  const year = at.getFullYear() === new Date(now).getFullYear() ? "" : ` ${at.getFullYear()}`;
  return `${DAY.format(at)}${year}, ${CLOCK.format(at)}`;
}

export function fullTime(time: string): string {
  return FULL.format(new Date(time));
}

/** The time zone of this browser, by its name in the IANA database; empty where it does not say. */
export function timeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}

export function plural(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** How many notifications were removed before they were read. */
export function missed(count: number): string {
  const [were, them] = count === 1 ? ["was", "it"] : ["were", "them"];
  return `${plural(count, "notification")} ${were} removed by retention or expiry before you read ${them}.`;
}

/** What stands first: the title, else the body's first line, else the keys of the data. */
export function headline(item: Pick<Notification, "title" | "body" | "data">): string {
  return item.title || firstLine(item.body) || `Data: ${Object.keys(item.data ?? {}).join(", ")}`;
}

/** What stands beside a title in one line. */
export function summary(item: Pick<Notification, "title" | "body" | "data">): string {
  if (item.title === "") return plain(item.body).slice(firstLine(item.body).length, 200).trim();
  return plain(item.body).slice(0, 200);
}

/** The beginning of Markdown as text, in one line. */
export function plain(markdown: string): string {
  return plainLines(markdown).join(" ");
}

function firstLine(markdown: string): string {
  return (plainLines(markdown)[0] ?? "").slice(0, 160);
}

export function publisherName(item: Pick<Notification, "publisher">): string {
  return item.publisher.name || item.publisher.id || "someone";
}
