import { describe, expect, it } from "vitest";
import { KEYS, pageKey } from "@/model/keys";

const pressed = (key: string, more = {}) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  defaultPrevented: false,
  ...more,
});

/** What has the focus, inside of what a selector names. */
const inside = (name: string) =>
  ({ closest: (selector: string) => (selector.split(", ").includes(name) ? {} : null) }) as Element;

describe("the keys of the pages", () => {
  it("act wherever the focus is, but in what takes keys itself", () => {
    for (const focused of [null, inside("button")]) expect(pageKey(pressed("j"), focused)).toBe("j");
    for (const name of ["input:not([type=radio]):not([type=checkbox])", "textarea", "[role=dialog]", "[role=menu]"])
      expect(pageKey(pressed("j"), inside(name))).toBeUndefined();
  });

  it("leave the browser its shortcuts, and what something nearer acted on", () => {
    for (const held of ["ctrlKey", "metaKey", "altKey", "defaultPrevented"])
      expect(pageKey(pressed("k", { [held]: true }), null)).toBeUndefined();
  });

  it("are all told, the one that tells them as well", () => {
    const told = KEYS.flatMap(([keys]) => keys);
    expect(told).toEqual(expect.arrayContaining(["j", "k", "a", "?"]));
  });
});
