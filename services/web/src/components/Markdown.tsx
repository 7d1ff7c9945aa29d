import ReactMarkdown, { type Components, type ExtraProps } from "react-markdown";
import remarkGfm from "remark-gfm";
import { Away } from "./Away";
import { isCheap } from "./cheap";
import classes from "./Markdown.module.css";

/** Pictures of other hosts are not loaded, since that would tell them who reads. */
const COMPONENTS: Components = {
  a: ({ href, children }) => <Away href={href}>{children}</Away>,
  img: ({ src, alt }) => <Away href={src}>{alt || "Picture"}</Away>,
  h1: "h3",
  h2: "h4",
  h3: "h5",
  h4: "h6",
  h5: "h6",
  table: ({ children, dir }) => (
    <div className={classes.wide} dir={dir}>
      <table dir={dir}>{children}</table>
    </div>
  ),
  pre: ({ children, dir }) => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keys must scroll a long line into sight
    <pre dir={dir} tabIndex={0}>
      {children}
    </pre>
  ),
};

type Block = NonNullable<ExtraProps["node"]>;
type Part = Block["children"][number];
type Root = { readonly children: readonly Part[] };

const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

/** Gives each block the direction of its own first letters; code reads from left to right. */
function directions() {
  return (root: Root) => {
    for (const block of root.children) {
      if (block.type !== "element") continue;
      if (block.tagName === "table") directTable(block);
      else block.properties.dir = block.tagName === "pre" ? "ltr" : "auto";
    }
  };
}

/** Each cell has its own direction. A browser does not look into such cells for that of the table. */
function directTable(table: Block): void {
  const letter = /\p{L}/u.exec(textOf(table))?.[0] ?? "";
  table.properties.dir = RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
  for (const cell of cellsOf(table)) cell.properties.dir = "auto";
}

function textOf(part: Part): string {
  if (part.type === "text") return part.value;
  return part.type === "element" ? part.children.map(textOf).join("") : "";
}

function cellsOf(block: Block): Block[] {
  const inside = block.children.filter((part) => part.type === "element");
  return inside.flatMap((part) => (part.tagName === "td" || part.tagName === "th" ? [part] : cellsOf(part)));
}

/** Markdown as elements: HTML in it is text, scripts never run. What would hold up the page is shown as it was written. */
export default function Markdown({ text }: { text: string }) {
  if (!isCheap(text)) {
    return (
      <div className={classes.markdown}>
        <div className={classes.written} dir="auto">
          {text}
        </div>
        <p className={classes.note}>
          It is shown as it was written: formatting so much Markdown would hold up the page.
        </p>
      </div>
    );
  }
  return (
    <div className={classes.markdown}>
      <ReactMarkdown remarkPlugins={[remarkGfm]} rehypePlugins={[directions]} components={COMPONENTS} skipHtml={false}>
        {text}
      </ReactMarkdown>
    </div>
  );
}
