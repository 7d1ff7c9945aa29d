import { expect, it } from "vitest";
import { NO_ANSWER } from "@/api/errors";
import { said, Troubles } from "@/components/troubles";

const trouble = (words: string) => ({ words, again: undefined });

it("says each sentence once, and that nobody answered only where there is no better one", () => {
  const away = "Topics cannot be reached at the moment.";
  expect(said([])).toBe("");
  expect(said([trouble(NO_ANSWER), trouble(NO_ANSWER)])).toBe(NO_ANSWER);
  expect(said([trouble(away), trouble(NO_ANSWER), trouble(away)])).toBe(away);
  expect(said([trouble("One."), trouble("Two."), trouble("One.")])).toBe("One. Two.");
});

it("holds what one part says until that part is there", () => {
  const troubles = new Troubles();
  const ends = [troubles.add(trouble(NO_ANSWER)), troubles.add(trouble(NO_ANSWER))];
  ends[0]?.();
  expect(said(troubles.all.get())).toBe(NO_ANSWER);
  ends[1]?.();
  expect(said(troubles.all.get())).toBe("");
});
