import { describe, expect, it } from "vitest";
import { publishLine, topicToTry } from "@/features/account/keys";
import { broughtSecret, KINDS, labelOf, valuesFor, wasBrought } from "@/features/topics/senders";

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
    const lines = (kind: string, brought = false) =>
      valuesFor(made(kind), brought).map(({ label, value }) => `${label}: ${value}`);
    expect(lines("alertmanager")).toHaveLength(1);
    expect(lines("alertmanager")[0]).toContain(`url: ${base}/alertmanager\n`);
    expect(lines("alertmanager")[0]).toContain("credentials: nfh_1_s");
    const shown = [`URL: ${base}/gitlab`, "Secret token: nfh_1_s"];
    expect(lines("gitlab")).toEqual(shown);
    expect(lines("gitlab", true)).toEqual([...shown, `URL where GitLab signs: ${base}/gitlab/1`]);
    expect(lines("github")).toEqual([`Payload URL: ${base}/github/1`, "Secret: whsec_x"]);
    expect(lines("apprise")).toEqual([": jsons://n.example/api/v1/topics/t/hooks/apprise/nfh_1_s"]);
    for (const { kind } of KINDS) expect(lines(kind).join()).toMatch(/nfh_1_s|whsec_x/);
  });

  it("have the secret that the sender made only where the server took it", () => {
    const given = broughtSecret("gitlab", " whsec_x ");
    expect(given).toEqual({ signing_secret: "whsec_x" });
    expect(wasBrought(made("gitlab"), given)).toBe(true);
    expect(wasBrought({ signing_secret: "whsec_ours" }, given)).toBe(false);
    for (const none of [broughtSecret("gitlab", " "), broughtSecret("github", "whsec_x")]) {
      expect(none).toEqual({});
      expect(wasBrought(made("gitlab"), none)).toBe(false);
    }
  });

  it("are named for people, also where the server knows a kind more", () => {
    expect(["github", "standard", "other"].map(labelOf)).toEqual(["GitHub", "Standard Webhooks", "other"]);
  });
});

describe("a key that may publish", () => {
  it("comes with a line that publishes to its topic, or to one that is filled in", () => {
    expect([["shop.*", "a.b"], ["shop.*"], []].map(topicToTry)).toEqual(["a.b", "shop.TOPIC", "TOPIC"]);
    expect(publishLine("https://n.example", "nfk_1", "a.b")).toBe(
      'curl -H "Authorization: Bearer nfk_1" -d "Hello" https://n.example/api/v1/topics/a.b/notifications',
    );
  });
});
