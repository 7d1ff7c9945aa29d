/** The REST API with its types, signed in as {@link Session} says. */
import createClient, { type Client } from "openapi-fetch";
import type { Clock } from "./clock";
import { ApiError, sentence } from "./errors";
import { fetchInTime, read } from "./http";
import { readJson } from "./json";
import type { Observable } from "./observable";
import type { paths } from "./schema";
import type { Session } from "./session";

export type Api = Client<paths>;

/**
 * A client whose calls throw {@link ApiError} for every answer that is not good: `data` is then always there. `trouble` is
 * set to why the newest call failed that would succeed later, and to nothing by the next that does not; `clock` hears
 * each answer.
 */
export function createApi(session: Session, trouble: Observable<string>, clock: Clock): Api {
  return createClient<paths>({
    baseUrl: location.origin,
    fetch: async (request) => {
      try {
        const response = await authorised(session, request);
        clock.heard(response.headers.get("Date"));
        if (!response.ok) await read(response);
        trouble.set("");
        // The library reads with this, as the length is known: its own would change numbers.
        response.json = async () => {
          const text = await response.text();
          return text === "" ? undefined : readJson(text);
        };
        return response;
      } catch (error) {
        if (error instanceof ApiError) trouble.set(error.outage ? sentence(error) : "");
        throw error;
      }
    },
  });
}

/** Send with the session's token; one that the server does not take any more is replaced, once. */
export async function authorised(session: Session, request: Request, send = fetchInTime): Promise<Response> {
  const again = request.clone();
  const response = await send(withToken(request, await session.token()));
  if (response.status !== 401) return response;
  return send(withToken(again, await session.renew()));
}

function withToken(request: Request, token: string): Request {
  request.headers.set("Authorization", `Bearer ${token}`);
  return request;
}

/** The data of a call's answer. */
export async function data<T>(call: Promise<{ data?: T | undefined; response: Response }>): Promise<T> {
  const answer = await call;
  if (answer.data === undefined) throw new ApiError(answer.response.status, "empty", "The server's answer was empty.");
  return answer.data;
}
