import type { EmailMode } from "@/api/types";

/** The ways to get email for a topic, in words: beside a bell, and as a choice. */
export const EMAIL_MODES: Readonly<Record<EmailMode, { short: string; long: string }>> = {
  never: { short: "never", long: "Never" },
  every: { short: "every one", long: "For every notification" },
  unread: { short: "if unread", long: "For what stays unread" },
  digest: { short: "digest", long: "As a digest" },
};
