import { describe, expect, it } from "vitest";
import { pauseAfter } from "@/api/http";

describe("the pause after failures", () => {
  it("is longer and longer, as long as the server says, and never the same", () => {
    expect(pauseAfter(1, undefined, 1)).toBe(1000);
    expect(pauseAfter(1, undefined, 0)).toBe(500);
    expect(pauseAfter(50, undefined, 1)).toBe(15_000);
    expect(pauseAfter(1, 30, 0)).toBe(30_000);
  });
});
