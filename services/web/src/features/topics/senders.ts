/** What to enter at each kind of sender. Pure. */
import type { HookSecret } from "@/api/types";
import type { Labelled } from "@/components/Once";

export const KINDS = [
  { kind: "alertmanager", label: "Alertmanager" },
  { kind: "grafana", label: "Grafana" },
  { kind: "github", label: "GitHub" },
  { kind: "gitlab", label: "GitLab" },
  { kind: "standard", label: "Standard Webhooks" },
  { kind: "apprise", label: "Apprise" },
] as const;

/** What needs no secret of its own. */
export const CURL = { kind: "curl", label: "curl" } as const;

/** The part of an address that leads to this section of a topic's settings. */
export const SEND_HERE = "#send-here";

export type Kind = (typeof KINDS)[number]["kind"];

type Created = Pick<HookSecret, "kind" | "secret" | "url" | "signed_url" | "signing_secret">;

/** The name of a kind; of one that this build does not know, what the server calls it. */
export function labelOf(kind: string): string {
  return KINDS.find((one) => one.kind === kind)?.label ?? kind;
}

/** Whether the sender may have made the secret that it signs with. */
export function bringsSecret(kind: string): boolean {
  return kind === "standard" || kind === "gitlab";
}

/** The part of a request that gives the secret that the sender made, of what was typed. */
export function broughtSecret(kind: string, typed: string): { signing_secret?: string } {
  const secret = typed.trim();
  return bringsSecret(kind) && secret !== "" ? { signing_secret: secret } : {};
}

/** Whether the sender's own secret was taken: a server of the version before rotates to one of ours. */
export function wasBrought(made: Pick<Created, "signing_secret">, given: { signing_secret?: string }): boolean {
  return given.signing_secret !== undefined && made.signing_secret === given.signing_secret;
}

/**
 * What to copy for a secret that was just created, each under the name of the field where it goes. `brought`: the sender
 * made the secret that it signs with; GitLab knows no other.
 */
export function valuesFor(
  { kind, secret, url, signed_url, signing_secret }: Created,
  brought: boolean,
): readonly Labelled[] {
  const plain = url.slice(0, -secret.length - 1);
  switch (kind) {
    case "alertmanager":
      return whole(
        [
          "webhook_configs:",
          `  - url: ${plain}`,
          "    http_config:",
          "      authorization:",
          `        credentials: ${secret}`,
        ].join("\n"),
      );
    case "gitlab":
      return [
        { label: "URL", value: plain },
        { label: "Secret token", value: secret },
        ...(brought ? [{ label: "URL where GitLab signs", value: signed_url ?? "" }] : []),
      ];
    case "github":
      return [
        { label: "Payload URL", value: signed_url ?? "" },
        { label: "Secret", value: signing_secret ?? "" },
      ];
    case "standard":
      return [
        { label: "URL", value: signed_url ?? "" },
        { label: "Secret", value: signing_secret ?? "" },
      ];
    case "apprise":
      return whole(url.replace(/^http/, "json"));
    default:
      return [{ label: "URL", value: url }];
  }
}

function whole(value: string): readonly Labelled[] {
  return [{ label: "", value }];
}
