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
    expect(html.match(/<(p|ul|h3|table) dir="auto"/g)).toHaveLength(5);
    expect(html).toContain('<pre dir="ltr"');
    // Inside, a direction of its own would hide the letters from the block's.
    expect(html).not.toMatch(/<(li|td) dir/);
  });
});
