import { describe, expect, it } from "vitest";
import { BLANK, isBlank } from "@/features/publish/draft";
import { Drafts } from "@/model/drafts";

/** What a window's storage does. */
class Kept implements Storage {
  readonly #items = new Map<string, string>();
  limit = Number.POSITIVE_INFINITY;
  get length() {
    return this.#items.size;
  }
  clear = () => this.#items.clear();
  key = (index: number) => [...this.#items.keys()][index] ?? null;
  getItem = (key: string) => this.#items.get(key) ?? null;
  removeItem = (key: string) => void this.#items.delete(key);
  setItem(key: string, value: string) {
    if (value.length > this.limit) throw new DOMException("full", "QuotaExceededError");
    this.#items.set(key, value);
  }
}

describe("a draft", () => {
  it("is kept under its name for its writer alone, until it is discarded", () => {
    const storage = new Kept();
    const drafts = new Drafts(storage, "ada");
    drafts.keep("publish.t", { ...BLANK, title: "Disk full" }, BLANK);
    // After a reload.
    const again = new Drafts(storage, "ada");
    expect(again.read("publish.t", BLANK)).toEqual({ ...BLANK, title: "Disk full" });
    expect(again.read("publish.other", BLANK)).toEqual(BLANK);
    expect(new Drafts(storage, "bob").read("publish.t", BLANK)).toEqual(BLANK);
    again.discard("publish.t");
    expect(again.read("publish.t", BLANK)).toEqual(BLANK);
  });

  it("holds what was changed: what others change meanwhile is not undone", () => {
    const drafts = new Drafts(new Kept(), "ada");
    drafts.keep("settings.t", { title: "Mine", readers: ["a"] }, { title: "", readers: ["a"] });
    expect(drafts.read("settings.t", { title: "", readers: ["a", "b"] })).toEqual({
      title: "Mine",
      readers: ["a", "b"],
    });
  });

  it("leaves nothing behind where nothing differs, and harms nothing where there is no room", () => {
    const storage = new Kept();
    const drafts = new Drafts(storage, "ada");
    drafts.keep("publish.t", { ...BLANK, title: "x" }, BLANK);
    drafts.keep("publish.t", BLANK, BLANK);
    expect(storage.length).toBe(0);
    storage.limit = 10;
    drafts.keep("publish.t", { ...BLANK, title: "too long for it" }, BLANK);
    storage.clear();
    storage.limit = 100;
    storage.setItem("notifyx.draft.ada.publish.t", "{broken");
    expect(drafts.read("publish.t", BLANK)).toBe(BLANK);
    expect([isBlank(BLANK), isBlank({ ...BLANK, to: "x" })]).toEqual([true, false]);
  });
});
