/** A large answer as a file of the browser's, without a deadline for the whole of it. */
import { problemOf, unreachable } from "./errors";
import type { Session } from "./session";

/** Fetch `path`, signed in, and have the browser save it as `name` if it ends with `end`. Throws {@link ApiError}. */
export async function download(session: Session, path: string, name: string, end: string): Promise<void> {
  let response = await get(path, await session.token());
  if (response.status === 401) response = await get(path, await session.renew());
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

async function get(path: string, token: string): Promise<Response> {
  try {
    return await fetch(path, { headers: { Authorization: `Bearer ${token}` } });
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
