import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import Markdown from "@/components/Markdown";

const shown = (text: string) => renderToStaticMarkup(createElement(Markdown, { text }));

describe("Markdown", () => {
  it("lets each block read in the direction of its own letters, and code from left to right", () => {
    const html = shown(
      "\u0645\u0631\u062d\u0628\u0627\n\nhello\n\n- one\n\n# Head\n\n| a |\n|-|\n| b |\n\n```\nls\n```",
    );
    expect(html.match(/<(p|ul|h3) dir="auto"/g)).toHaveLength(4);
    expect(html).toContain('<pre dir="ltr"');
    // Inside, a direction of its own would hide the letters from the block's.
    expect(html).not.toMatch(/<li dir/);
  });

  it("puts a table on the side of its first letter, and lets each cell read in its own direction", () => {
    expect(shown("| a |\n|-|\n| b |")).toMatch(/<div class="[^"]*" dir="ltr"><table dir="ltr">.*<td dir="auto">b</);
    const html = shown("| 5 % | \u05d2\u05d5\u05d3\u05dc |\n|-|-:|\n| /var | 12 GB |");
    expect(html).toMatch(/<div class="[^"]*" dir="rtl"><table dir="rtl">/);
    expect(html.match(/<t[dh] [^>]*dir="auto"/g)).toHaveLength(4);
  });
});
