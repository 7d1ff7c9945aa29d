import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { SettingsNews, WITHIN_MS } from "@/model/settingsNews";

let told: string[] = [];
let news: SettingsNews;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  news = new SettingsNews((topic, version, changed) => told.push(`${topic} ${version} ${changed}`));
});
afterEach(() => {
  news.close();
  vi.useRealTimers();
});

it("tells the last of several versions once, and whether it is another one", () => {
  for (const version of ["1", "2", "3"]) news.heard("a", version);
  news.heard("b", "1");
  expect(told).toEqual([]);
  vi.advanceTimersByTime(WITHIN_MS);
  expect(told.sort()).toEqual(["a 3 false", "b 1 false"]);
  news.heard("a", "3");
  vi.advanceTimersByTime(WITHIN_MS);
  expect(told.at(-1)).toBe("a 3 false");
  news.heard("a", "4");
  vi.advanceTimersByTime(WITHIN_MS);
  expect(told.at(-1)).toBe("a 4 true");
});

it("takes a version that is not known for another one, and tells nothing once it is closed", () => {
  for (const _ of [1, 2]) {
    news.heard("a", "");
    vi.advanceTimersByTime(WITHIN_MS);
  }
  expect(told).toEqual(["a  false", "a  true"]);
  news.heard("a", "5");
  news.close();
  vi.advanceTimersByTime(WITHIN_MS);
  expect(told.length).toBe(2);
});
