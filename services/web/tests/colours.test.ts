import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const READABLE = 4.5;
const WORDS = ["--urgent", "--high", "--low", "--accent-text", "--mantine-color-dimmed"];
const BEHIND = ["--mantine-color-body", "--surface", "--hover", "--unread", "--active"];

function light(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark = 0, bright = 0] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
}

it.each(["light", "dark"])("every colour of words is read on whatever is behind a row in the %s", (scheme) => {
  const css = readFileSync("src/app/app.css", "utf8");
  const block = css.split(`:root[data-mantine-color-scheme="${scheme}"] {`)[1]?.split("}")[0] ?? "";
  const colours = new Map(
    [...block.matchAll(/(--[\w-]+): (#[0-9a-f]{6});/g)].map(([, name = "", value = ""]) => [name, value]),
  );
  const of = (name: string) => colours.get(name) ?? expect.fail(name);
  const pairs = WORDS.flatMap((word) => BEHIND.map((behind) => ({ word, behind })));
  const faint = pairs.filter(({ word, behind }) => contrast(of(word), of(behind)) < READABLE);
  expect(faint).toEqual([]);
});
