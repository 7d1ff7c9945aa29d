import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Pulse, patience } from "@/socket/pulse";

describe("the pulse of a connection", () => {
  let answers: ((took: number) => void)[];
  let pulse: Pulse;

  beforeEach(() => {
    vi.useFakeTimers();
    answers = [];
    pulse = new Pulse((answered) => answers.push(answered) > 0);
    pulse.start();
  });
  afterEach(() => vi.useRealTimers());

  it("tells within three seconds that nothing comes any more, and at once that something does", () => {
    pulse.heard();
    vi.advanceTimersByTime(1_000);
    pulse.heard();
    vi.advanceTimersByTime(2_000);
    expect(pulse.answering.get()).toBe(true);
    vi.advanceTimersByTime(1_000);
    expect(pulse.answering.get()).toBe(false);
    pulse.heard();
    expect(pulse.answering.get()).toBe(true);
  });

  it("asks only what is silent, and once until it answers", () => {
    for (let step = 0; step < 20; step += 1) {
      vi.advanceTimersByTime(1_000);
      pulse.heard();
    }
    expect(answers).toHaveLength(1);
    vi.advanceTimersByTime(20_000);
    expect(answers).toHaveLength(2);
  });

  it("says nothing of the time in which nobody looks, and asks first when somebody does again", () => {
    pulse.heard();
    pulse.stop();
    vi.advanceTimersByTime(60_000);
    expect(pulse.answering.get()).toBe(true);
    pulse.start();
    expect(answers).toHaveLength(2);
  });

  it("is patient where answers take long, up to five seconds", () => {
    expect([0, 100, 800, 9_000].map(patience)).toEqual([1_250, 1_250, 3_200, 5_000]);
    for (let step = 0; step < 30; step += 1) answers[0]?.(900);
    vi.advanceTimersByTime(3_000);
    expect(pulse.answering.get()).toBe(true);
    vi.advanceTimersByTime(1_000);
    expect(pulse.answering.get()).toBe(false);
  });

  it("owes nothing to a connection that cannot be asked", () => {
    const closed = new Pulse(() => false);
    closed.start();
    vi.advanceTimersByTime(60_000);
    expect(closed.answering.get()).toBe(true);
    closed.stop();
  });
});
