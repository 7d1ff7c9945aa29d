import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it, vi } from "vitest";
import { createApi, data } from "@/api/client";
import { Clock } from "@/api/clock";
import { ExactNumber, readJson } from "@/api/json";
import { Observable } from "@/api/observable";
import type { Session } from "@/api/session";
import { DataTable } from "@/components/DataTable";
import { parseData } from "@/features/publish/draft";
import { rowsOf } from "@/model/dataRows";
import { contentOf, requestOf } from "@/model/outbox";
import { messageOf } from "@/socket/messages";

const TEXT =
  '{"n": 12345678901234567890, "e": 1e400, "deep": {"x": {"y": {"z": [9007199254740993, 0.1]}}}, "l": [1e-400, 2]}';

function shown(text: string): string {
  const read = readJson(text) as Record<string, unknown>;
  return renderToStaticMarkup(createElement(DataTable, { rows: rowsOf(read) }))
    .replaceAll("&quot;", '"')
    .replace(/<[^>]*>/g, " ");
}

describe("a number that a double cannot hold", () => {
  it.each([
    "12345678901234567890",
    "9007199254740993",
    "-9007199254740993",
    "1e400",
    "-1E+400",
    "1e-400",
    "0.1000000000000000055511151231257827",
    "3.141592653589793238",
  ])("is read as it was written: %s", (source) => {
    for (const text of [`{"a":${source}}`, `{"a": \n${source} }`])
      expect(readJson(text)).toEqual({ a: new ExactNumber(source) });
    expect(readJson(`[1,${source}]`)).toEqual([1, new ExactNumber(source)]);
  });

  it.each([
    "0",
    "-0",
    "0.0",
    "0e999",
    "1.0",
    "1.50",
    "1E5",
    "1e21",
    "9007199254740992",
    "0.1",
    "100000000000000000000",
  ])("is not this one, which stays a number: %s", (source) =>
    expect(readJson(`[${source}, 1e999]`)).toEqual([JSON.parse(source), new ExactNumber("1e999")]),
  );

  it("is not what only looks so within a text", () => {
    const texts = ["12345678901234567890", ',9007199254740993 "[1e400]', "\\", "0.5 12345678901234567890", "é\u2028"];
    expect(readJson(JSON.stringify({ texts, n: 1 }))).toEqual({ texts, n: 1 });
    for (const wrong of ["{", '{"a":1e}', "[1e400", '{"a":01e400}']) expect(() => readJson(wrong)).toThrow(SyntaxError);
  });

  it("takes no time by its length", () => {
    const zeros = "0".repeat(90_000);
    expect(readJson(`[1${zeros}1]`)).toEqual([new ExactNumber(`1${zeros}1`)]);
  });

  it("goes to the server as it was written, and is shown so", () => {
    expect(parseData(TEXT).problem).toBe("");
    const message = { body: { title: "A", body: "" }, data: TEXT };
    const sent = requestOf(message);
    expect(JSON.parse(sent)).toEqual({ ...message.body, data: JSON.parse(TEXT) });
    expect(sent).toContain(`"data":${TEXT.replaceAll(" ", "")}`);
    expect(requestOf({ body: {}, data: '{"a": " b "}' })).toBe('{"data":{"a":" b "}}');
    expect(requestOf({ body: { title: "A" } })).toBe('{"title":"A"}');
    expect(contentOf(message).data?.n).toEqual(new ExactNumber("12345678901234567890"));
    for (const number of ["12345678901234567890", "1e400", "9007199254740993", "0.1", "1e-400, 2"])
      expect(shown(TEXT)).toContain(number);
  });

  it("comes through REST and through the socket", async () => {
    vi.stubGlobal("location", { origin: "http://notifyx.test" });
    const item = `{"data":${TEXT}}`;
    vi.stubGlobal("fetch", async () => new Response(`{"items":[${item}]}`));
    const api = createApi({ token: async () => "t" } as Session, new Observable(""), new Clock());
    const page = await data(api.GET("/api/v1/inbox", { params: { query: {} } }));
    // A server that does not know the length before sends even nothing in chunks.
    const chunked = { status: 202, headers: { "Transfer-Encoding": "chunked" } };
    vi.stubGlobal("fetch", async () => new Response("", chunked));
    const body = { email: "a@x.org", password: "p" };
    expect((await api.PUT("/api/v1/me/email", { body })).data).toBeUndefined();
    const frame = messageOf(`["1",null,"topic:t","notification",${item}]`);
    vi.unstubAllGlobals();
    expect(page.items[0]?.data?.n).toEqual(new ExactNumber("12345678901234567890"));
    expect(frame).toEqual({
      join_ref: "1",
      ref: null,
      topic: "topic:t",
      event: "notification",
      payload: readJson(item),
    });
  });
});

describe("an address in data", () => {
  it("is a link that tells the other page nothing", () => {
    const html = (value: unknown) => renderToStaticMarkup(createElement(DataTable, { rows: rowsOf({ value }) }));
    const link =
      '<a href="https://a.example/b?c=1" target="_blank" rel="noopener noreferrer">https://a.example/b?c=1</a>';
    expect(html("https://a.example/b?c=1")).toContain(link);
    expect(html(["x", "https://a.example/b?c=1"])).toContain(`x, ${link}`);
    for (const text of ["javascript:alert(1)", "see https://a.example", "ftp://a.example", "https://"])
      expect(html(text)).not.toContain("<a");
  });
});
