const RELOADED = "notifyx.reloaded_at";
const RELOAD_AGAIN_MS = 60_000;
const DEADLINE_MS = 5_000;

/**
 * Reload the page if the server gives it: a build that was replaced meanwhile may no longer have a part that this window
 * needs, and the new one has. While the server is away a reload would only lose the page.
 */
export async function renew(): Promise<void> {
  const last = Number(sessionStorage.getItem(RELOADED) ?? 0);
  if (document.visibilityState === "hidden" || Date.now() - last < RELOAD_AGAIN_MS) return;
  const request = fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS) });
  const answer = await request.catch(() => undefined);
  if (answer?.ok !== true) return;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  location.reload();
}
