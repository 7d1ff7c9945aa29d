import { type RefObject, useEffect } from "react";
import { placesOf, wantedOf } from "@/model/search";

const NAME = "found";

/** Marks the words of `query` in what `container` shows, where the browser can: the page itself is not changed. */
export function useMarks(container: RefObject<HTMLElement | null>, query: string): void {
  useEffect(() => {
    const root = container.current;
    if (root === null || typeof Highlight === "undefined") return;
    const wanted = wantedOf(query);
    let frame = 0;
    const mark = () => {
      frame = 0;
      CSS.highlights.set(NAME, new Highlight(...rangesIn(root, wanted)));
    };
    const soon = () => {
      frame ||= requestAnimationFrame(mark);
    };
    // The list replaces its rows as one scrolls, and a row that is opened shows more.
    const observer = new MutationObserver(soon);
    observer.observe(root, { childList: true, characterData: true, subtree: true });
    soon();
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame);
      CSS.highlights.delete(NAME);
    };
  }, [container, query]);
}

function rangesIn(root: HTMLElement, wanted: ReturnType<typeof wantedOf>): Range[] {
  const ranges: Range[] = [];
  for (const article of root.querySelectorAll("article")) {
    const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
      for (const [start, end] of placesOf(node.nodeValue ?? "", wanted)) {
        const range = new Range();
        range.setStart(node, start);
        range.setEnd(node, end);
        ranges.push(range);
      }
    }
  }
  return ranges;
}
