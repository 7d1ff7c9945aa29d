/**
 * The beginning of Markdown as text: what its dialect (CommonMark with GFM's tables and strikethrough) would show, without
 * the looks. Good enough to be skimmed. No pattern may try the same characters in many ways: a publisher chooses them.
 */

import { decodeString } from "micromark-util-decode-string";

/** More than a row ever shows, also where the addresses of links are left out of it. */
const SKIMMED_CHARS = 1_000;

const FENCE = /^[ \t>]*(`{3,}|~{3,})/;
const BREAK = /^[ \t]*([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const UNDERLINE = /^[ \t]*(?:=+|-+)[ \t]*$/;
const CONTAINERS = /^[ \t]*(?:>[ \t]*|(?:[-*+]|\d{1,9}[.)])[ \t]+)*/;
const HEADING = /^#{1,6}[ \t]+/;

/** The lines that are not empty. */
export function plainLines(markdown: string): string[] {
  return blocksOf(markdown.trimStart().slice(0, SKIMMED_CHARS).split("\n"))
    .flatMap((block) => block.split("\n"))
    .map((line) => line.replace(/\s+/g, " ").trim())
    .filter((line) => line !== "");
}

/** The text of each block: emphasis does not reach from one into the next. */
function blocksOf(lines: readonly string[]): string[] {
  const blocks: string[] = [];
  let paragraph: string[] = [];
  let fence = "";
  let inTable = false;
  const end = () => {
    blocks.push(inline(paragraph.join("\n")));
    paragraph = [];
  };
  for (const [at, line] of lines.entries()) {
    const mark = FENCE.exec(line)?.[1] ?? "";
    if (fence !== "") {
      if (mark.startsWith(fence) && line.trim().endsWith(mark)) fence = "";
      else blocks.push(line);
      continue;
    }
    const ruled = isRule(line);
    inTable = ruled || (inTable && line.trim() !== "");
    const isRow = inTable || line.trimStart().startsWith("|") || isRule(lines[at + 1] ?? "");
    const prefix = CONTAINERS.exec(line)?.[0] ?? "";
    const text = line.slice(prefix.length);
    const isHeading = HEADING.test(text);
    if (prefix.trim() !== "" || isRow || isHeading || mark !== "" || line.trim() === "") end();
    if (mark !== "") fence = mark;
    else if (ruled || BREAK.test(line) || (paragraph.length > 0 && UNDERLINE.test(line))) end();
    else paragraph.push(isRow ? cells(line) : text.replace(HEADING, ""));
    if (isRow || isHeading) end();
  }
  end();
  return blocks;
}

/** Whether this is the line between the head of a table and its rows. */
function isRule(line: string): boolean {
  return line.includes("|") && line.includes("-") && /^[\s|:-]+$/.test(line);
}

function cells(line: string): string {
  return line
    .split("|")
    .map((cell) => cell.trim())
    .filter((cell) => cell !== "")
    .join(", ");
}

/** Equal marks in a row, of which `left` are shown as they are. */
interface Run {
  readonly mark: string;
  readonly size: number;
  left: number;
  opens: boolean;
  readonly closes: boolean;
}

const PART =
  /\\([!-/:-@[-`{-~])|(`+)|<(https?:[^\s<>]*)>|!?\[([^\][]*)\]\((?:[^()]|\([^()]*\))*\)|(&(?:#(?:\d{1,7}|x[\da-f]{1,6})|[\da-z]{1,31});)|(https?:\/\/[^\s<[\]\\*_~`]*)|\*+|_+|~+/gi;

/** The text of a block: code first, since nothing else is read in it. */
function inline(text: string): string {
  const parts: (string | Run)[] = [];
  // One of its own: the text of a link is read within.
  const part = new RegExp(PART);
  let at = 0;
  for (let found = part.exec(text); found !== null; found = part.exec(text)) {
    const [all, escaped, ticks, address, label, reference, bare] = found;
    parts.push(text.slice(at, found.index));
    at = found.index + all.length;
    const code = ticks === undefined ? undefined : codeAt(text, at, ticks);
    if (code !== undefined) {
      parts.push(code);
      at += code.length + all.length;
    } else if (ticks !== undefined) parts.push(all);
    else if (label !== undefined) parts.push(inline(label));
    else if (reference !== undefined) parts.push(decodeString(reference));
    else parts.push(escaped ?? address ?? bare ?? runOf(text, found.index, all));
    part.lastIndex = at;
  }
  parts.push(text.slice(at));
  pair(parts.filter((one): one is Run => typeof one !== "string"));
  return parts.map((one) => (typeof one === "string" ? one : one.mark.repeat(one.left))).join("");
}

/** The code that begins at `at`, up to as many backticks as opened it. */
function codeAt(text: string, at: number, ticks: string): string | undefined {
  for (const close of text.slice(at).matchAll(/`+/g)) if (close[0] === ticks) return text.slice(at, at + close.index);
  return undefined;
}

/** CommonMark's rules of flanking: what a run may open or close follows from the characters beside it. */
function runOf(text: string, start: number, all: string): Run {
  const before = text.slice(Math.max(start - 2, 0), start);
  const after = text.slice(start + all.length, start + all.length + 2);
  const isSpace = [/^$|\s$/.test(before), /^$|^\s/.test(after)] as const;
  const isPunctuation = [/[\p{P}\p{S}]$/u.test(before), /^[\p{P}\p{S}]/u.test(after)] as const;
  const left = !isSpace[1] && (!isPunctuation[1] || isSpace[0] || isPunctuation[0]);
  const right = !isSpace[0] && (!isPunctuation[0] || isSpace[1] || isPunctuation[1]);
  const mark = all.charAt(0);
  // Within words, underscores are parts of names.
  const opens = left && (mark !== "_" || !right || isPunctuation[0]);
  const closes = right && (mark !== "_" || !left || isPunctuation[1]);
  return { mark, size: all.length, left: all.length, opens, closes };
}

/** Takes away the marks that become emphasis. */
function pair(runs: readonly Run[]): void {
  for (const [at, closer] of runs.entries()) {
    while (closer.closes && closer.left > 0) {
      const from = runs.slice(0, at).findLastIndex((opener) => opener.left > 0 && match(opener, closer));
      const opener = runs[from];
      if (opener === undefined) break;
      const taken = opener.left > 1 && closer.left > 1 ? 2 : 1;
      opener.left -= taken;
      closer.left -= taken;
      for (const between of runs.slice(from + 1, at)) between.opens = false;
    }
  }
}

function match(opener: Run, closer: Run): boolean {
  if (!opener.opens || opener.mark !== closer.mark) return false;
  if (opener.mark === "~") return opener.size === closer.size && opener.size <= 2;
  const both = opener.closes || closer.opens;
  return !both || (opener.size + closer.size) % 3 !== 0 || (opener.size % 3 === 0 && closer.size % 3 === 0);
}
