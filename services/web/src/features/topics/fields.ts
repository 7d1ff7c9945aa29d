/** A topic's settings as a form holds them, and back. Pure. */
import type { EmailMode, NewTopic, Topic, TopicPatch } from "@/api/types";

export interface TopicFields {
  readonly title: string;
  readonly visibility: "public" | "private";
  readonly publishers: string[];
  readonly readers: string[];
  readonly creators: string[];
  readonly paused: boolean;
  readonly keepDays: number;
  readonly keepCount: number;
  readonly emailDefault: EmailMode;
  readonly unreadAfterMinutes: number;
  readonly digestEveryHours: number;
}

const DAY = 86_400;

export const NEW: TopicFields = {
  title: "",
  visibility: "public",
  publishers: [],
  readers: [],
  creators: [],
  paused: false,
  keepDays: 30,
  keepCount: 100_000,
  emailDefault: "never",
  unreadAfterMinutes: 15,
  digestEveryHours: 24,
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
    keepDays: rounded((retention.max_age_seconds ?? NEW.keepDays * DAY) / DAY),
    keepCount: retention.max_count ?? NEW.keepCount,
    emailDefault: email.default ?? NEW.emailDefault,
    unreadAfterMinutes: rounded((email.unread_after_seconds ?? 900) / 60),
    digestEveryHours: rounded((email.digest_every_seconds ?? DAY) / 3600),
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
    ...(changed("keepDays", "keepCount") ? { retention } : {}),
    ...(changed("emailDefault", "unreadAfterMinutes", "digestEveryHours") ? { email } : {}),
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
    retention: { max_age_seconds: Math.round(fields.keepDays * DAY), max_count: fields.keepCount },
    email: {
      default: fields.emailDefault,
      unread_after_seconds: Math.round(fields.unreadAfterMinutes * 60),
      digest_every_seconds: Math.round(fields.digestEveryHours * 3600),
    },
  };
}

/** As exact as a second, without the noise of a division. */
function rounded(value: number): number {
  return Number(value.toPrecision(12));
}
