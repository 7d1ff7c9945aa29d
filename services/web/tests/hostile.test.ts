import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { isCheap } from "@/components/cheap";
import { DataTable } from "@/components/DataTable";
import Markdown from "@/components/Markdown";
import { type Data, rowsOf } from "@/model/dataRows";
import { headline, plain, summary } from "@/model/text";
import { note } from "./notifications";

const LONGEST = 65_536;
const filled = (unit: string, chars: number) => unit.repeat(Math.floor(chars / unit.length));
const shown = (text: string) => renderToStaticMarkup(createElement(Markdown, { text }));
const staircase = (step: string, levels: number) =>
  Array.from({ length: levels }, (_, level) => `${step.repeat(level)}- a`).join("\n");

/** Each takes a parser, or a careless pattern, seconds or more in its full length. */
const UNITS = [
  ">",
  "> ",
  "- ",
  "1. ",
  "*_a",
  "*a_ ",
  "_a_ ",
  "[",
  "![",
  "[](",
  "]",
  "`a``b```",
  "~a",
  "www.a.b ",
  "a@b ",
];
const LINES = [
  "=\n",
  "a\n=\n",
  "a\r=\r",
  "-\n",
  "- a\n",
  "[a]: b\n",
  "[^a]: b\n\n",
  "|a|b|\n",
  "a\n\n",
  "> =\n",
  "> - > - a\n\n",
];

describe("a link", () => {
  it.each(["[words](javascript:alert(1))", "![words](data:text/html,x)", "[words]()", "[words](<>)"])(
    "without an address that may be opened is its text: %s",
    (body) => expect(shown(body)).toMatch(/<p dir="auto">words<\/p>/),
  );

  it("with one leads there, out of this page", () => {
    for (const body of ["[words](https://a.example)", "![words](https://a.example)"]) {
      expect(shown(body)).toContain('<a href="https://a.example" target="_blank" rel="noopener noreferrer">words</a>');
    }
  });
});

describe("a body made to hold up its readers", () => {
  it.each([...UNITS, ...LINES])("is shown as it was written: %j", (unit) => {
    for (const chars of [19_999, LONGEST]) {
      const body = filled(unit, chars);
      expect(isCheap(body)).toBe(false);
      const html = shown(body);
      expect(html).toMatch(/^<div class="[^"]*"><div class="[^"]*" dir="auto">/);
      expect(html.match(/<div/g)).toHaveLength(2);
      expect(html).toContain("It is shown as it was written");
    }
  });

  it.each([
    ["length", "a", 20_000],
    ["lines", "a\n", 999],
    ["marks", "*a ", 1_000],
    ["underlines", "a\n=b\n", 100],
    ["underlines", "a\n--\n", 100],
    ["depth in quotes", ">", 20],
    ["depth in lists", "1) ", 20],
    ["openings", "> - > - a\n\n", 250],
  ])("is formatted up to a bound of its %s", (_bound, unit, most) => {
    expect(isCheap(unit.repeat(most))).toBe(true);
    expect(isCheap(unit.repeat(most + 1))).toBe(false);
  });

  it("is no staircase of lists", () => {
    for (const step of ["  ", "\t"]) {
      expect(isCheap(staircase(step, 21))).toBe(true);
      expect(isCheap(staircase(step, 22))).toBe(false);
    }
  });

  it.each([`x${"\n".repeat(65_000)}x`, ...[...UNITS, ...LINES].map((unit) => filled(unit, LONGEST))])(
    "has a row made of its beginning alone",
    (body) => {
      for (const tail of ["", "z".repeat(9), "](", "*"]) {
        const item = note("t", 1, { title: "", body: `${body}${tail}` });
        const begun = note("t", 1, { title: "", body: body.slice(0, 1_000) });
        expect([plain(item.body), headline(item), summary(item)]).toEqual([
          plain(begun.body),
          headline(begun),
          summary(begun),
        ]);
      }
    },
  );
});

describe("data made to hold up their readers", () => {
  const table = (data: Data) => renderToStaticMarkup(createElement(DataTable, { rows: rowsOf(data) }));
  const many = <T>(count: number, make: (at: number) => T) => Array.from({ length: count }, (_, at) => make(at));
  const objectOf = (count: number) => Object.fromEntries(many(count, (at) => [`n${at}`, 0]));
  const deep = (levels: number, inner: unknown): unknown => (levels === 0 ? inner : [deep(levels - 1, inner)]);

  it.each<[string, Data]>([
    ["thousands of rows", objectOf(10_000)],
    ["a long name before each of thousands", { ["x".repeat(40_000)]: objectOf(5_000) }],
    ["long names in names", { ["x".repeat(40_000)]: { ["y".repeat(40_000)]: objectOf(150) } }],
    ["a list of thousands", { list: many(40_000, () => 0) }],
    [
      "a list of thousands, deep inside",
      {
        list: deep(
          240,
          many(40_000, () => 0),
        ),
      },
    ],
    ["lists in lists", { list: deep(240, 0) }],
  ])("are few elements, and no longer than they were: %s", (_, data) => {
    const html = table(data);
    expect(html.match(/</g)?.length).toBeLessThan(50);
    expect(html.length).toBeLessThan(12 * JSON.stringify(data).length + 5_000);
    expect(JSON.parse(/<pre[^>]*>(.*)<\/pre>/s.exec(html)?.[1]?.replaceAll("&quot;", '"') ?? "")).toBeDefined();
  });

  it("are a table where that can be read", () => {
    expect(table(objectOf(200)).match(/<dt>/g)).toHaveLength(200);
    expect(table({ list: many(200, (at) => at) })).not.toContain("<pre");
  });
});

describe("what people and programs write", () => {
  it("is formatted: long reports, rules, code, tables and logs", () => {
    const report = "## Deploy **done**\n\n- see [the runbook](https://x.example/a_b)\n- `kubectl get pods`\n\n---\n\n";
    for (const body of [
      filled(report, 8_000),
      "-".repeat(80),
      `\`\`\`\n${filled('{"some_key": [1, 2]}\n', 4_000)}\`\`\``,
      `|a|b|\n|-|-|\n${"|1|2|\n".repeat(200)}`,
      filled("12:00:01 worker_1 took 15 ms and went on\n", 19_000),
      `${" ".repeat(90)}text far to the right`,
    ]) {
      expect(isCheap(body)).toBe(true);
    }
    expect(shown(report)).toContain("<strong>done</strong>");
  });
});
