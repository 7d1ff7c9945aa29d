/** A topic's settings as a form holds them, and back. Pure. */
import type { EmailMode, NewTopic, Topic, TopicPatch } from "@/api/types";

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

/** The largest unit of which a duration is a whole number: 10 seconds are no sixth of a minute. */
export function unitOf(seconds: number): Unit {
  const units = Object.keys(UNITS) as Unit[];
  return units.find((unit) => seconds > 0 && seconds % UNITS[unit] === 0) ?? "seconds";
}
