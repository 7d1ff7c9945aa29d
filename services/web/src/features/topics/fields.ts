/** A topic's settings as a form holds them, and back. Pure. */
import type { EmailMode, NewTopic, Topic, TopicPatch } from "@/api/types";
import { plural } from "@/model/text";

export interface TopicFields {
  readonly title: string;
  readonly visibility: "public" | "private";
  readonly publishers: string[];
  readonly readers: string[];
  readonly creators: string[];
  readonly paused: boolean;
  readonly keepSeconds: number;
  readonly keepCount: number;
  readonly emailDefault: EmailMode;
  readonly unreadAfterSeconds: number;
  readonly digestEverySeconds: number;
}

/** Units of a duration, the largest first. */
export const UNITS = { days: 86_400, hours: 3_600, minutes: 60, seconds: 1 } as const;

export type Unit = keyof typeof UNITS;

/** The least and the most that the service takes, as the form counts. */
export const BOUNDS = {
  keepSeconds: [UNITS.minutes, 3_650 * UNITS.days],
  keepCount: [1, 10_000_000],
  unreadAfterSeconds: [1, 7 * UNITS.days],
  digestEverySeconds: [1, 30 * UNITS.days],
} as const;

export type Bounded = keyof typeof BOUNDS;

export const NEW: TopicFields = {
  title: "",
  visibility: "public",
  publishers: [],
  readers: [],
  creators: [],
  paused: false,
  keepSeconds: 30 * UNITS.days,
  keepCount: 100_000,
  emailDefault: "never",
  unreadAfterSeconds: 15 * UNITS.minutes,
  digestEverySeconds: UNITS.days,
};

export function fieldsOf(topic: Topic): TopicFields {
  const { retention, email } = topic;
  return {
    title: topic.title,
    visibility: topic.visibility,
    publishers: topic.publishers,
    readers: topic.readers,
    creators: topic.creators,
    paused: topic.paused,
    keepSeconds: retention.max_age_seconds ?? NEW.keepSeconds,
    keepCount: retention.max_count ?? NEW.keepCount,
    emailDefault: email.default ?? NEW.emailDefault,
    unreadAfterSeconds: email.unread_after_seconds ?? NEW.unreadAfterSeconds,
    digestEverySeconds: email.digest_every_seconds ?? NEW.digestEverySeconds,
  };
}

export function newTopic(name: string, fields: TopicFields): NewTopic {
  const { title, visibility, publishers, readers } = fields;
  return { name, title, visibility, publishers, readers, ...times(fields) };
}

/** Only what differs: two people who change different things do not undo each other's. */
export function patchOf(before: TopicFields, after: TopicFields): TopicPatch {
  const changed = (...names: (keyof TopicFields)[]) =>
    names.some((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  const { retention, email } = times(after);
  return {
    ...(changed("title") ? { title: after.title } : {}),
    ...(changed("visibility") ? { visibility: after.visibility } : {}),
    ...(changed("publishers") ? { publishers: after.publishers } : {}),
    ...(changed("readers") ? { readers: after.readers } : {}),
    ...(changed("creators") ? { creators: after.creators } : {}),
    ...(changed("paused") ? { paused: after.paused } : {}),
    ...(changed("keepSeconds", "keepCount") ? { retention } : {}),
    ...(changed("emailDefault", "unreadAfterSeconds", "digestEverySeconds") ? { email } : {}),
  };
}

/** Whether a list that is written names email addresses: which of them are an account's is told to nobody. */
export function namesAddress({ creators, publishers, readers }: TopicPatch): boolean {
  return [creators, publishers, readers].some((entries) => entries?.some((entry) => entry.includes("@")));
}

/** The number that somebody typed, with commas between thousands or without; NaN for anything else. */
export function typedNumber(text: string): number {
  const plain = /^(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?$/.test(text.trim());
  return plain ? Number(text.trim().replaceAll(",", "")) : Number.NaN;
}

/** So many of a unit in seconds. */
export function secondsOf(count: number, unit: Unit): number {
  // 1.1 hours are 3,960 seconds, which floating point misses by a trillionth.
  return Number((count * UNITS[unit]).toFixed(3));
}

/** What is wrong with a number of the form, in a sentence; empty where nothing is. */
export function boundProblem(field: Bounded, value: number): string {
  const [least, most] = BOUNDS[field];
  if (!Number.isFinite(value)) return "This is no number.";
  if (!Number.isInteger(value)) return `This is no whole number${field === "keepCount" ? "" : " of seconds"}.`;
  if (value >= least && value <= most) return "";
  const [low, high] = field === "keepCount" ? [String(least), most.toLocaleString("en")] : [span(least), span(most)];
  return `Between ${low} and ${high}.`;
}

/** What is wrong with the creators, in a sentence; empty where nothing is. A topic that has none stays as it is. */
export function creatorsProblem(before: TopicFields, after: TopicFields): string {
  const none = after.creators.length === 0 && before.creators.length > 0;
  return none ? "A topic needs a creator: add another before you remove the last one." : "";
}

/** Whether all of the form can be saved. */
export function canBeSaved(before: TopicFields, after: TopicFields): boolean {
  const numbers = (Object.keys(BOUNDS) as Bounded[]).map((field) => boundProblem(field, after[field]));
  return [creatorsProblem(before, after), ...numbers].every((problem) => problem === "");
}

/** What a topic holds at most, and when its oldest was published, where that is known. */
export interface Kept {
  readonly count: number;
  readonly oldest: string | undefined;
}

/** What saving would remove of what is kept now, in sentences; empty where nothing goes. */
export function removalOf(before: TopicFields, after: TopicFields, kept: Kept, now: number): string {
  if (kept.count === 0) return "";
  const sentences: string[] = [];
  if (after.keepCount < before.keepCount && kept.count > after.keepCount) {
    const stay =
      after.keepCount === 1 ? "only the newest stays" : `only the newest ${after.keepCount.toLocaleString("en")} stay`;
    sentences.push(`Of up to ${plural(kept.count, "notification")} kept now, ${stay}.`);
  }
  const since = now - after.keepSeconds * 1_000;
  if (after.keepSeconds < before.keepSeconds && (kept.oldest === undefined || Date.parse(kept.oldest) < since)) {
    sentences.push(`What was published more than ${span(after.keepSeconds)} ago is removed.`);
  }
  return sentences.join(" ");
}

/** What is wrong with a name for a new topic, in a sentence. */
export function nameProblem(name: string): string {
  if (name === "") return "";
  if (/^\.*[a-z0-9_-][a-z0-9._-]*$/.test(name) && name.length <= 128) return "";
  return "Use a to z in lower case, 0 to 9, dots, underscores and hyphens.";
}

function times(fields: TopicFields) {
  return {
    retention: { max_age_seconds: fields.keepSeconds, max_count: fields.keepCount },
    email: {
      default: fields.emailDefault,
      unread_after_seconds: fields.unreadAfterSeconds,
      digest_every_seconds: fields.digestEverySeconds,
    },
  };
}

function span(seconds: number): string {
  const unit = unitOf(seconds);
  return plural(seconds / UNITS[unit], unit.slice(0, -1));
}

/** The largest unit of which a duration is a whole number: 10 seconds are no sixth of a minute. */
export function unitOf(seconds: number): Unit {
  const units = Object.keys(UNITS) as Unit[];
  return units.find((unit) => seconds > 0 && seconds % UNITS[unit] === 0) ?? "seconds";
}
