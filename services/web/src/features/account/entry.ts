/** Calls without a session, for who is not signed in. */
import { fetchInTime, read } from "@/api/http";
import type { LinkCheck, NewPassword, SignedUp } from "@/api/types";

export const LEAST_PASSWORD = 8;
export const MAX_PASSWORD = 256;

export async function signUp(body: { email: string; password: string; name: string }): Promise<SignedUp> {
  return (await post("/api/v1/users", body)) as SignedUp;
}

/** Have a link mailed that sets a new password; the answer does not tell whether there is such an account. */
export async function requestPasswordReset(email: string): Promise<void> {
  await post("/api/v1/password-resets", { email });
}

export async function resetPassword(body: NewPassword): Promise<void> {
  await post("/api/v1/password-resets/complete", body);
}

/** Whether the link of a mail can be used, without spending it: throws `invalid_link` where it cannot. */
export async function checkLink(body: LinkCheck): Promise<void> {
  await post("/api/v1/links/check", body);
}

async function post(path: string, body: object): Promise<unknown> {
  const headers = { "Content-Type": "application/json" };
  return read(await fetchInTime(new Request(path, { method: "POST", headers, body: JSON.stringify(body) })));
}
