import type { Notification } from "@/api/types";

/** A notification with what matters to a test. */
export function note(topic: string, seq: number, more: Partial<Notification> = {}): Notification {
  return {
    id: `${topic}-${seq}`,
    topic,
    seq,
    title: `${topic} ${seq}`,
    body: "",
    data: null,
    priority: "normal",
    publisher: { id: "u1", name: "Ada" },
    published_at: new Date(1_700_000_000_000 + seq * 1000).toISOString(),
    ...more,
  };
}

export function notes(topic: string, from: number, to: number): Notification[] {
  return Array.from({ length: to - from + 1 }, (_, index) => note(topic, from + index));
}
