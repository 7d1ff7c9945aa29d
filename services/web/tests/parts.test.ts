import { createElement, Suspense } from "react";
import { renderToString } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { lazyPart, shared } from "@/components/parts";

const part = { default: () => createElement("b", null, "There") };

describe("a part that several ask for", () => {
  it("is loaded once, and anew where that failed", async () => {
    let loads = 0;
    let works = false;
    const load = shared(async () => {
      loads += 1;
      if (!works) throw new Error("lost");
      return part;
    });
    await expect(Promise.all([load(), load()])).rejects.toThrow("lost");
    expect([loads, load.loaded]).toEqual([1, undefined]);
    works = true;
    expect(await Promise.all([load(), load()])).toEqual([part, part]);
    await load();
    expect([loads, load.loaded]).toEqual([2, part]);
  });

  it("is shown at once where it is there, with nothing in its place before", async () => {
    const load = shared(async () => part);
    const shown = () => {
      const page = createElement(Suspense, { fallback: "Wait" }, createElement(lazyPart(load)));
      return renderToString(page);
    };
    expect(shown()).toContain("Wait");
    await load();
    expect(shown()).toContain("<b>There</b>");
    expect(shown()).not.toContain("Wait");
  });
});
