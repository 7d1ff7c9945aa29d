/** What to enter at each kind of sender. Pure. */
import type { HookSecret } from "@/api/types";

export const KINDS = [
  { kind: "alertmanager", label: "Alertmanager" },
  { kind: "grafana", label: "Grafana" },
  { kind: "github", label: "GitHub" },
  { kind: "gitlab", label: "GitLab" },
  { kind: "standard", label: "Standard Webhooks" },
  { kind: "apprise", label: "Apprise" },
] as const;

export type Kind = (typeof KINDS)[number]["kind"];

type Created = Pick<HookSecret, "kind" | "secret" | "url" | "signed_url" | "signing_secret">;

/** The name of a kind; of one that this build does not know, what the server calls it. */
export function labelOf(kind: string): string {
  return KINDS.find((one) => one.kind === kind)?.label ?? kind;
}

/** Whether the sender may have made the secret that it signs with. */
export function bringsSecret(kind: Kind): boolean {
  return kind === "standard" || kind === "gitlab";
}

/** The exact lines to copy for a secret that was just created. */
export function linesFor({ kind, secret, url, signed_url, signing_secret }: Created): string {
  const plain = url.slice(0, -secret.length - 1);
  switch (kind) {
    case "alertmanager":
      return [
        "webhook_configs:",
        `  - url: ${plain}`,
        "    http_config:",
        "      authorization:",
        `        credentials: ${secret}`,
      ].join("\n");
    case "gitlab":
      return [`URL: ${plain}`, `Secret token: ${secret}`, `URL where GitLab signs: ${signed_url}`].join("\n");
    case "github":
      return [`Payload URL: ${signed_url}`, `Secret: ${signing_secret}`].join("\n");
    case "standard":
      return [`URL: ${signed_url}`, `Secret: ${signing_secret}`].join("\n");
    case "apprise":
      return url.replace(/^http/, "json");
    default:
      return `URL: ${url}`;
  }
}
