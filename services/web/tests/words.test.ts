import { describe, expect, it } from "vitest";
import { pauseOf, problemOf } from "@/api/errors";
import { awaitsConfirmation } from "@/features/account/emailChange";
import { tokenOf } from "@/features/account/linkToken";
import { isEmpty, parseData } from "@/features/publish/draft";
import {
  boundProblem,
  canBeSaved,
  creatorsProblem,
  fieldsOf,
  NEW,
  nameProblem,
  newTopic,
  patchOf,
  removalOf,
  secondsOf,
  typedNumber,
  unitOf,
} from "@/features/topics/fields";
import { alertOf, QUIET, wanted } from "@/model/alerts";
import { rowsOf } from "@/model/dataRows";
import { headline, missed, plain, plural, summary, when } from "@/model/text";
import { note } from "./notifications";

describe("a notification in one line", () => {
  it("is its title, or the first line of its body, or what its data holds", () => {
    expect(headline(note("t", 1))).toBe("t 1");
    expect(headline(note("t", 1, { title: "", body: "## **Disk** full\nmore" }))).toBe("Disk full");
    expect(summary(note("t", 1, { title: "", body: "## **Disk** full\nmore" }))).toBe("more");
    expect(headline(note("t", 1, { title: "", data: { a: 1, b: 2 } }))).toBe("Data: a, b");
    expect(plain("see [the runbook](https://x.y) and `kubectl`")).toBe("see the runbook and kubectl");
  });

  it("reads the rows of a table, not its lines", () => {
    const table = "| job | state |\n|-|:-:|\n| build | **red** |\n\nSee a | b";
    expect(plain(table)).toBe("job, state build, red See a | b");
    expect(headline(note("t", 1, { title: "", body: table }))).toBe("job, state");
    expect(summary(note("t", 1, { title: "", body: table }))).toBe("build, red See a | b");
    expect(plain("a | b\n- | -\n1 | 2")).toBe("a, b 1, 2");
  });

  it("shows nested data by its paths, as emails do", () => {
    const rows = rowsOf({ a: 1, deep: { x: { y: 2, z: { w: 3 } }, none: {} } });
    expect(rows.map(({ path, value }) => `${path.join(".")}=${JSON.stringify(value)}`)).toEqual([
      "a=1",
      "deep.x.y=2",
      'deep.x.z={"w":3}',
      "deep.none={}",
    ]);
  });

  it("tells times as people do", () => {
    const now = new Date("2026-05-04T12:00:00Z").getTime();
    expect(when("2026-05-04T11:59:50Z", now)).toBe("now");
    expect(when("2026-05-04T11:55:00Z", now)).toMatch(/^5\s?m/);
    expect(when("2025-12-31T11:55:00Z", now)).toMatch(/^31 Dec 2025/);
    expect([plural(1, "change"), plural(1200, "change")]).toEqual(["1 change", "1,200 changes"]);
    expect(missed(1)).toBe("1 notification was removed by retention or expiry before you read it.");
    expect(missed(3)).toBe("3 notifications were removed by retention or expiry before you read them.");
  });
});

describe("errors", () => {
  it("are the problem's own sentence, else one that says as much as is known", () => {
    expect(problemOf(409, { detail: "Taken.", code: "x" }, null).message).toBe("Taken.");
    const wrong = problemOf(400, { detail: "a: b", errors: [{ field: "name", reason: "Too long." }] }, null);
    expect([wrong.message, wrong.passes]).toEqual(["Too long.", false]);
    expect(problemOf(502, "<html>", "7")).toMatchObject({ retryAfter: 7, passes: true });
    const limited = problemOf(429, undefined, "30");
    expect(limited).toMatchObject({ retryAfter: 30, passes: true, outage: false });
    expect(limited.message).toContain("too many requests");
    const now = Date.parse("2026-05-05T09:30:00Z");
    expect(pauseOf("Tue, 05 May 2026 09:31:00 GMT", now)).toBe(60);
    expect(pauseOf("Tue, 05 May 2026 09:29:00 GMT", now)).toBe(0);
    expect(pauseOf("soon", now)).toBeUndefined();
  });
});

describe("a new address", () => {
  it("waits until it is the account's, in whatever window that happens", () => {
    expect(awaitsConfirmation("", "a@x.org")).toBe(false);
    expect(awaitsConfirmation("Elo2@x.org", "elo@x.org")).toBe(true);
    expect(awaitsConfirmation("Elo2@x.org", "elo2@x.org")).toBe(false);
  });
});

describe("the secret of a link", () => {
  it("is in the address, and after a reload in the entry of the history", () => {
    expect(tokenOf("#new", { link: "old" })).toBe("new");
    expect(tokenOf("", { link: "old" })).toBe("old");
    for (const state of [null, {}, { link: 1 }, "x"]) expect(tokenOf("", state)).toBe("");
  });
});

describe("alerts", () => {
  it("are of what others published, and only of what matters where that is wished", () => {
    const wishes = { ...QUIET, important: true };
    expect(wanted(QUIET, note("t", 1), "me")).toBe(true);
    expect(wanted(QUIET, note("t", 1), "u1")).toBe(false);
    expect(wanted(wishes, note("t", 1), "me")).toBe(false);
    expect(wanted(wishes, note("t", 1, { priority: "urgent" }), "me")).toBe(true);
  });

  it("gather what comes at once", () => {
    expect(alertOf([], String)).toBeUndefined();
    expect(alertOf([note("t", 1)], String)?.title).toBe("t: t 1");
    expect(alertOf([note("t", 1), note("s", 2)], String)).toMatchObject({ title: "2 notifications", text: "t, s" });
  });
});

describe("what is written", () => {
  it("has data that is an object, and is not empty", () => {
    expect(parseData(' {"a": [1]} ').data).toEqual({ a: [1] });
    expect(parseData("").problem).toBe("");
    for (const wrong of ["{", "[1]", "3", `{"a":"${"x".repeat(99_000)}"}`])
      expect(parseData(wrong).problem).not.toBe("");
    expect(isEmpty({ title: " ", body: "\n" })).toBe(true);
    expect(isEmpty({ data: { a: 1 } })).toBe(false);
  });
});

describe("a topic's settings", () => {
  it("are sent as they were read, and only what changed", () => {
    const topic = { ...newTopic("t", NEW), id: "1", creators: ["me"], paused: false, resource: null };
    const whole = { ...topic, last_seq: 0, first_seq: 1, created_at: "", can_publish: true, can_manage: true };
    const before = fieldsOf(whole as Parameters<typeof fieldsOf>[0]);
    expect(patchOf(before, before)).toEqual({});
    expect(patchOf(before, { ...before, title: "New" })).toEqual({ title: "New" });
    expect(patchOf(before, { ...before, keepSeconds: 43_200 })).toEqual({
      retention: { max_age_seconds: 43_200, max_count: 100_000 },
    });
  });

  it("keep odd durations as they are", () => {
    const topic = { ...newTopic("t", NEW), retention: { max_age_seconds: 100_001, max_count: 5 }, creators: [] };
    const fields = fieldsOf(topic as unknown as Parameters<typeof fieldsOf>[0]);
    expect(newTopic("t", fields).retention).toEqual({ max_age_seconds: 100_001, max_count: 5 });
    expect([10, 900, 5_400, 86_400, 604_800, 100_001, 0].map(unitOf)).toEqual(
      "seconds minutes minutes days days seconds seconds".split(" "),
    );
  });

  it("refuse a number out of range, as it was typed", () => {
    const problems = ["0", "10,000,001", "1.5", "1e3", "1,5", "-5", "", "1.", "100,000", " 7 "].map((typed) =>
      boundProblem("keepCount", typedNumber(typed)),
    );
    expect(problems).toEqual([
      ...Array(2).fill("Between 1 and 10,000,000."),
      "This is no whole number.",
      ...Array(5).fill("This is no number."),
      ...Array(2).fill(""),
    ]);
    expect(boundProblem("keepSeconds", 30)).toBe("Between 1 minute and 3,650 days.");
    expect(boundProblem("unreadAfterSeconds", 604_801)).toBe("Between 1 second and 7 days.");
    expect([canBeSaved(NEW, NEW), canBeSaved(NEW, { ...NEW, digestEverySeconds: 0 })]).toEqual([true, false]);
  });

  it("take parts of a unit that are whole seconds", () => {
    expect(secondsOf(typedNumber("1.5"), "days")).toBe(129_600);
    expect(secondsOf(typedNumber("1.1"), "hours")).toBe(3_960);
    expect(boundProblem("keepSeconds", secondsOf(typedNumber("1.51"), "minutes"))).toBe(
      "This is no whole number of seconds.",
    );
  });

  it("are not saved without a creator", () => {
    const before = { ...NEW, creators: ["me"] };
    expect(canBeSaved(before, { ...before, creators: [] })).toBe(false);
    expect(creatorsProblem(before, { ...before, creators: [] })).toMatch(/needs a creator/);
    expect(canBeSaved(before, { ...before, creators: ["you"] })).toBe(true);
    expect(canBeSaved(NEW, { ...NEW, title: "Nobody's" })).toBe(true);
  });

  it("say what a new bound removes, and nothing where it removes nothing", () => {
    const now = Date.parse("2026-05-04T12:00:00Z");
    const kept = { count: 88, oldest: "2026-05-04T09:00:00Z" };
    const removed = (change: object, has = kept) => removalOf(NEW, { ...NEW, ...change }, has, now);
    expect(removed({ keepCount: 1 })).toBe("Of up to 88 notifications kept now, only the newest stays.");
    expect(removed({ keepCount: 20 })).toBe("Of up to 88 notifications kept now, only the newest 20 stay.");
    expect(removed({ keepSeconds: 3_600 })).toBe("What was published more than 1 hour ago is removed.");
    for (const less of [{ keepCount: 88 }, { keepSeconds: 14_400 }, { keepCount: 200_000 }])
      expect(removed(less)).toBe("");
    expect(removed({ keepCount: 1, keepSeconds: 60 }, { ...kept, count: 0 })).toBe("");
  });

  it("begin with a name that a topic can have", () => {
    for (const good of ["a", "team.deploys", "..a", "0_-"]) expect(nameProblem(good)).toBe("");
    for (const wrong of ["A", "a b", "..", "ä", "user:1", "a".repeat(129)]) expect(nameProblem(wrong)).not.toBe("");
  });
});
