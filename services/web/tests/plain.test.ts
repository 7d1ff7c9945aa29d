import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import Markdown from "@/components/Markdown";
import { headline, plain, summary } from "@/model/text";
import { note } from "./notifications";

/** The text of what an opened notification shows. */
function rendered(markdown: string): string {
  return renderToStaticMarkup(createElement(Markdown, { text: markdown }))
    .replace(/<[^>]*>/g, "")
    .replaceAll("&#x27;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replace(/\s+/g, " ")
    .trim();
}

describe("Markdown in one line", () => {
  it.each([
    ["Set MAX_RETRY_COUNT_LIMIT=5 in prod_env_file", "Set MAX_RETRY_COUNT_LIMIT=5 in prod_env_file"],
    ["5 * 3 * 2 = 30", "5 * 3 * 2 = 30"],
    ["`foo_bar` and __init__.py", "foo_bar and init.py"],
    ["```py\nfoo_bar = 5 * 3 * 2\n# no heading\n```\n*after*", "foo_bar = 5 * 3 * 2 # no heading after"],
  ])("keeps names, sums and code: %j", (markdown, text) => {
    expect([plain(markdown), rendered(markdown)]).toEqual([text, text]);
  });

  it.each([
    "a*b*c *d* **e** ***f*** _g_ __h__ ___i___",
    "**a *b* c** and *a **b** c*",
    "*a **b* c** and **a*",
    "_a_b_ a__b__c __a_b__ (_a_) _(a)_b _a_.",
    "* a* *a * ** a**",
    "**a**b**c** *a**b* **a*b***",
    "~a~ ~~b~~ ~~~c~~ ~~d~ a ~ b ~ c",
    "`a``b` ``c`d`` `e *f* `g* *h` i*",
    "`unclosed *a*",
    "\\*a\\* \\_b\\_ \\`c\\` **d\\***",
    "[*a* b](https://x.example/a_b_c) ![p](q) **[a](https://b.example)**",
    "[a](javascript:alert(1)) [b](https://x.example/wiki/B_(c)) ![p](https://x.example/(q).png) (d)",
    "<https://a.example/b_c_d> *x*",
    "# Head *a*\n\ntext",
    "> quoted *a*\n> b\n\n- one_two_three\n- **two\n- three**\n\n1. four",
    "two *lines\nof* it\n\n*but\n\nnot* more",
    "Title\n===\nmore\n\n---\n\n* * *\nend",
    "~~~\n*a*\n```\n_b_\n~~~\nc",
    "😀*a*😀 «*b*» „_c_“",
    "R&amp;D &lt;b&gt; &copy; &#x41;&#65; &AMP; &#42;x&#42; *&quot;a&quot;* &auml;_b_",
    "`&amp;` \\&amp; &nope; &amp &#xffffff; & ; &#0;",
    "| a &amp; &pound;5 |\n|-|",
    "```\n&amp;\n```\n[R&amp;D](https://x.example/?a=1&amp;b=2)",
    "# a&nbsp;b\n\n- c&ensp;d",
    "see https://x.example/?a=1&amp;b=2 now and *https://x.example/a_b_c*",
  ])("is what is shown once it is opened: %j", (markdown) => {
    expect(plain(markdown)).toBe(rendered(markdown));
  });

  it("ends the first line where the whole does", () => {
    const item = note("t", 1, { title: "", body: "**Disk\nfull** on db_1_a\n\n```\nline_1_x\n```" });
    expect([headline(item), summary(item)]).toEqual(["Disk", "full on db_1_a line_1_x"]);
    expect(headline(note("t", 1, { title: "", body: "```sh\nls -l *.py\n```" }))).toBe("ls -l *.py");
  });
});
