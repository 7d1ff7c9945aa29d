/** A large answer as a file of the browser's, without a deadline for the whole of it. */
import { authorised } from "./client";
import { problemOf, unreachable } from "./errors";
import type { Session } from "./session";

/** Fetch `path`, signed in, and have the browser save it as `name` if it ends with `end`. Throws {@link ApiError}. */
export async function download(session: Session, path: string, name: string, end: string): Promise<void> {
  const response = await authorised(session, new Request(path), unhurried);
  if (!response.ok) {
    const problem: unknown = await response.json().catch(() => undefined);
    throw problemOf(response.status, problem, response.headers.get("Retry-After"));
  }
  const file = await response.blob().catch(() => {
    throw unreachable();
  });
  const last = (await file.slice(-2 * end.length).text()).trimEnd();
  if (!last.endsWith(end)) throw unreachable();
  save(file, name);
}

async function unhurried(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch {
    throw unreachable();
  }
}

function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
