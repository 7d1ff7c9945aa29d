/** The words of a search, to mark them in what was found. The server decides what is found. Pure. */

const TERM = /(-?)(?:"([^"]*)"?|([^\s"]+))/g;
const WORD = /[\p{L}\p{N}\p{M}]+/gu;
const NUMBER = /^v?(\d+)$/;

/** Words that are marked: as they are, and those that begin with one of `prefixes`. */
export interface Wanted {
  readonly words: ReadonlySet<string>;
  readonly prefixes: readonly string[];
}

/** The words that `query` looks for. */
export function wantedOf(query: string): Wanted {
  const words = new Set<string>();
  let last: string | undefined;
  for (const [term, minus, phrase, word] of query.matchAll(TERM)) {
    last = undefined;
    if (minus !== "") continue;
    const found = (phrase ?? word ?? "").match(WORD)?.map(folded) ?? [];
    for (const one of found.flatMap(spellings)) words.add(one);
    if (word !== undefined && query.endsWith(term)) last = found.at(-1);
  }
  const open = last !== undefined && (last.length > 1 || last > "\u007f");
  return { words, prefixes: last !== undefined && open ? spellings(last) : [] };
}

/** A version is found with its `v` and without, as the server does. */
function spellings(word: string): string[] {
  const number = NUMBER.exec(word)?.[1];
  return number === undefined ? [word] : [number, `v${number}`];
}

/** Where in `text` the wanted words stand: pairs of offsets. */
export function placesOf(text: string, { words, prefixes }: Wanted): readonly (readonly [number, number])[] {
  const places: [number, number][] = [];
  for (const match of text.matchAll(WORD)) {
    const word = folded(match[0]);
    if (words.has(word) || prefixes.some((prefix) => word.startsWith(prefix))) {
      places.push([match.index, match.index + match[0].length]);
    }
  }
  return places;
}

/** In lower case and without accents, as the server compares words. */
function folded(word: string): string {
  return word
    .toLowerCase()
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "");
}
