/** What goes wrong between this client and the gateway, as one clear sentence in `message`. */

/** What is said of a server that is asked, and words for it come after {@link SLOW_MS}: nobody watches a bare spinner for three seconds. */
export const NO_ANSWER = "The server has not answered yet.";
export const SLOW_MS = 2_000;

export interface FieldProblem {
  readonly field: string;
  readonly reason: string;
}

export class ApiError extends Error {
  override readonly name = "ApiError";

  /** `status` is HTTP's, 0 where no answer came; `retryAfter` is in seconds. */
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: readonly FieldProblem[] = [],
    readonly retryAfter: number | undefined = undefined,
  ) {
    super(message);
  }

  /** Whether the server, or a part of it, is away. */
  get outage(): boolean {
    return this.status === 0 || this.status >= 500;
  }

  /** Whether the same request may succeed later, without anybody changing anything. */
  get passes(): boolean {
    return this.outage || this.status === 408 || this.status === 429;
  }
}

/** The sentence to show for anything that was thrown. */
export function sentence(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  return "Something went wrong in this page; reload it and try again.";
}

/** The answer as an error: RFC 9457, or what a proxy in between makes of one. */
export function problemOf(status: number, body: unknown, retryAfter: string | null): ApiError {
  const problem = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const fields = Array.isArray(problem.errors) ? (problem.errors as FieldProblem[]) : [];
  const code = typeof problem.code === "string" ? problem.code : `http_${status}`;
  return new ApiError(status, code, wording(status, problem, fields), fields, pauseOf(retryAfter, Date.now()));
}

/** The seconds of a `Retry-After`, which may be a date; `now` is epoch milliseconds. */
export function pauseOf(retryAfter: string | null, now: number): number | undefined {
  if (retryAfter === null) return undefined;
  const seconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - now) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

function wording(status: number, problem: Record<string, unknown>, fields: readonly FieldProblem[]): string {
  const first = fields[0];
  if (first !== undefined) return first.reason;
  if (typeof problem.detail === "string" && problem.detail !== "") return problem.detail;
  if (status === 429) return "The server gets too many requests from here at the moment; try again in a minute.";
  if (status >= 500) return "The server cannot do this at the moment; try again in a minute.";
  return `The server refused this (HTTP ${status}).`;
}

export function unreachable(): ApiError {
  return new ApiError(0, "unreachable", "The server cannot be reached.");
}
