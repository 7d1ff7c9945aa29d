import { describe, expect, it } from "vitest";
import { KINDS, labelOf, linesFor } from "@/features/topics/senders";

const made = (kind: string) => ({
  kind,
  secret: "nfh_1_s",
  url: `https://n.example/api/v1/topics/t/hooks/${kind}/nfh_1_s`,
  signed_url: `https://n.example/api/v1/topics/t/hooks/${kind}/1`,
  signing_secret: "whsec_x",
});

describe("the lines to copy", () => {
  it("show each sender where to send to and with what", () => {
    const base = "https://n.example/api/v1/topics/t/hooks";
    expect(linesFor(made("alertmanager"))).toContain(`url: ${base}/alertmanager\n`);
    expect(linesFor(made("alertmanager"))).toContain("credentials: nfh_1_s");
    expect(linesFor(made("gitlab"))).toBe(
      `URL: ${base}/gitlab\nSecret token: nfh_1_s\nURL where GitLab signs: ${base}/gitlab/1`,
    );
    expect(linesFor(made("github"))).toBe(`Payload URL: ${base}/github/1\nSecret: whsec_x`);
    expect(linesFor(made("apprise"))).toBe("jsons://n.example/api/v1/topics/t/hooks/apprise/nfh_1_s");
    for (const { kind } of KINDS) expect(linesFor(made(kind))).toMatch(/nfh_1_s|whsec_x/);
  });

  it("are named for people, also where the server knows a kind more", () => {
    expect(["github", "standard", "other"].map(labelOf)).toEqual(["GitHub", "Standard Webhooks", "other"]);
  });
});
