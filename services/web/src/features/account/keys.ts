/** What an API key may do, where, and for how long. Pure. */
import type { Scope } from "@/api/types";

export const SCOPES: readonly { readonly scope: Scope; readonly label: string }[] = [
  { scope: "read", label: "Read notifications and the inbox, and acknowledge" },
  { scope: "publish", label: "Publish" },
  { scope: "manage", label: "Create, change and delete topics, and change subscriptions" },
];

export const LIFETIMES = [
  { value: "30", label: "in 30 days" },
  { value: "90", label: "in 90 days" },
  { value: "365", label: "in a year" },
  { value: "", label: "never" },
];

/** The topic that a key for these is tried on: a name, else one to fill in where it says TOPIC. */
export function topicToTry(topics: readonly string[]): string {
  return topics.find((topic) => !topic.includes("*")) ?? topics[0]?.replaceAll("*", "TOPIC") ?? "TOPIC";
}

/** A line for a terminal that publishes. */
export function publishLine(origin: string, key: string, topic: string): string {
  return `curl -H "Authorization: Bearer ${key}" -d "Hello" ${origin}/api/v1/topics/${topic}/notifications`;
}

/** What is wrong with a topic's name or pattern, in a sentence. */
export function patternProblem(pattern: string): string {
  if (/^[a-z0-9._*-]{1,128}$/.test(pattern) && pattern.split("*").length <= 9) return "";
  return `${pattern}: use a to z in lower case, 0 to 9, dots, underscores and hyphens, and up to 8 *.`;
}
