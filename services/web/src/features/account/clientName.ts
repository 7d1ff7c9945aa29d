/** Words for a user agent. Pure. */

/** The first that matches names the browser: most call themselves by the names of others as well. */
const CLIENTS: readonly (readonly [RegExp, string])[] = [
  [/notifyx-client\//, "Command line or Python client"],
  [/Edg(e|A|iOS)?\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\/|FxiOS\//, "Firefox"],
  [/Chrom(e|ium)\/|CriOS\//, "Chrome"],
  [/Safari\//, "Safari"],
  [/^curl\//, "curl"],
];

const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS X|Macintosh|Darwin/, "macOS"],
  [/Linux/, "Linux"],
];

/** What a session's client is, in a few words; what is not known is shown as it was sent. */
export function clientName(userAgent: string): string {
  const found = (names: typeof CLIENTS) => names.find(([pattern]) => pattern.test(userAgent))?.[1];
  const client = found(CLIENTS) ?? (userAgent.slice(0, 40) || "Unknown client");
  const system = found(SYSTEMS);
  return system === undefined ? client : `${client} on ${system}`;
}
