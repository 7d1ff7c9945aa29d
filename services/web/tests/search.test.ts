/** The words of a search, and where they stand in what was found. */
import { expect, test } from "vitest";
import { placesOf, wantedOf } from "@/model/search";

function marked(query: string, text: string): string {
  let out = "";
  let at = 0;
  for (const [start, end] of placesOf(text, wantedOf(query))) {
    out += `${text.slice(at, start)}[${text.slice(start, end)}]`;
    at = end;
  }
  return out + text.slice(at);
}

test.each([
  ["disk", "Disk full, disks too", "[Disk] full, [disks] too"],
  ["disk ", "Disk full, disks too", "[Disk] full, disks too"],
  ['"disk full"', "A disk is full", "A [disk] is [full]"],
  ["disk -full", "disk full", "[disk] full"],
  ["uber", "Überall und überhaupt", "[Überall] und [überhaupt]"],
  ["straße", "STRASSE Straße", "STRASSE [Straße]"],
  ["db-1.example", "db-2.example.com, db-1", "[db]-2.[example].com, [db]-[1]"],
  ["1.42.0", "cart:v1.42.0-rc.1, 142", "cart:[v1].[42].[0]-rc.[1], 142"],
  ["v1.42 ", "1.42 and v1.421", "[1].[42] and [v1].421"],
  ["a", "a an", "[a] an"],
  ["\u6570", "\u6570\u636e", "[\u6570\u636e]"],
  ["-disk", "disk", "disk"],
  ["", "disk", "disk"],
])("%s in %s", (query, text, expected) => {
  expect(marked(query, text)).toBe(expected);
});
