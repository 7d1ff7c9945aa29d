import { expect, it } from "vitest";
import { Clock } from "@/api/clock";

const NOON = Date.parse("2026-11-20T12:00:00Z");
const HOUR = 3_600_000;

it("follows the server where this machine's clock is wrong, and is its own where it is right", () => {
  let own = NOON - 24 * HOUR;
  const clock = new Clock(() => own);
  expect(clock.now()).toBe(own);
  clock.heard("Fri, 20 Nov 2026 12:00:00 GMT");
  expect(clock.now()).toBe(NOON);
  own += HOUR;
  expect(clock.now()).toBe(NOON + HOUR);
  clock.heard(null);
  clock.heard("whenever");
  expect(clock.now()).toBe(NOON + HOUR);
  own = NOON + 2 * HOUR + 400; // somebody set it right
  clock.heard("Fri, 20 Nov 2026 14:00:00 GMT");
  expect(clock.now()).toBe(own);
});
