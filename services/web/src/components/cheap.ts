/** Which Markdown is formatted: what a browser does quickly. Pure. */

/** The emails show as many characters of a body. */
const FORMATTED_CHARS = 20_000;
const FORMATTED_LINES = 1_000;
const FORMATTED_MARKS = 1_000;
const FORMATTED_UNDERLINES = 100;
const FORMATTED_DEPTH = 20;
const FORMATTED_OPENINGS = 1_000;
const MARKS = /[*_~[\]`<|=&\\@]|www\.|:\/\//gi;
/** What opens quotes and lists at the beginning of a line. */
const OPENINGS = /^(?:[ \t]*(?:>|(?:[-*+]|\d{1,9}[.)])(?![^ \t])))+/;
/** What can make a heading of the text above it. */
const UNDERLINE = /^[ \t>]*(?:=|-+[ \t]*$)/;

/**
 * Whether formatting `body` as Markdown takes a moment at most. A parser's time grows with the square of some marks, so
 * that a body could hold up the page of everybody who reads it; one that could is shown as text.
 */
export function isCheap(body: string): boolean {
  if (body.length > FORMATTED_CHARS) return false;
  const lines = body.split(/\r\n?|\n/);
  const depths = lines.map(depth);
  return (
    lines.length <= FORMATTED_LINES &&
    (body.match(MARKS)?.length ?? 0) <= FORMATTED_MARKS &&
    lines.filter((line) => UNDERLINE.test(line)).length <= FORMATTED_UNDERLINES &&
    depths.every((levels) => levels <= FORMATTED_DEPTH) &&
    depths.reduce((sum, levels) => sum + levels, 0) <= FORMATTED_OPENINGS
  );
}

/** How many quotes and lists `line` can stand in, by what opens them and by how far it is indented. */
function depth(line: string): number {
  const openings = OPENINGS.exec(line)?.[0] ?? "";
  const indents = openings.replace(/[^ \t]/g, "").replaceAll("\t", "  ").length / 2;
  return Math.max(openings.match(/[-*+>.)]/g)?.length ?? 0, Math.floor(indents));
}
