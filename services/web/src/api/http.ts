/** One request with a deadline, and the answer read into data or an {@link ApiError}. */
import { problemOf, unreachable } from "./errors";

const DEADLINE_MS = 20_000;

/**
 * `fetch` that returns whole answers, gives up in time, and says that nobody answered instead of what the browser says.
 * A server that ends may have sent the head of an answer and not its body: that is no answer.
 */
export async function fetchInTime(request: Request): Promise<Response> {
  try {
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(DEADLINE_MS)]);
    const answer = await fetch(request, { signal });
    const body = await answer.arrayBuffer();
    const whole = new Response(body.byteLength === 0 ? null : body, answer);
    // Without it, or with that of the compressed body, nobody knows what is here.
    whole.headers.set("Content-Length", String(body.byteLength));
    return whole;
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw unreachable();
  }
}

/** The decoded JSON of a good answer; `undefined` where it has no body. Throws {@link ApiError}. */
export async function read(response: Response): Promise<unknown> {
  const text = await response.text();
  let body: unknown;
  try {
    body = text === "" ? undefined : JSON.parse(text);
  } catch {
    body = undefined;
  }
  if (!response.ok) throw problemOf(response.status, body, response.headers.get("Retry-After"));
  return body;
}

/** How long to wait after `failures` tries in a row, in milliseconds; `random` is from 0 to 1. */
export function pauseAfter(
  failures: number,
  retryAfter: number | undefined,
  random: number,
  maximumMs = 15_000,
): number {
  const maximum = Math.min(500 * 2 ** failures, maximumMs);
  return Math.max((retryAfter ?? 0) * 1000, maximum * (0.5 + random / 2));
}
