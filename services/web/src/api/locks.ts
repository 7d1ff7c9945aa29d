/** One window at a time: the browser's Web Locks, or a lease in local storage where a page is not served securely. */

const LEASE_MS = 30_000;
const POLL_MS = 60;

/** Run `work` while no other window runs work under the same name. */
export function exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
  if (navigator.locks !== undefined) return navigator.locks.request(`notifyx.${name}`, work) as Promise<T>;
  return withLease(`notifyx.lock.${name}`, work);
}

async function withLease<T>(key: string, work: () => Promise<T>): Promise<T> {
  const own = randomKey();
  while (!(await take(key, own))) await pause(POLL_MS * (1 + Math.random()));
  const renewal = setInterval(() => write(key, own), LEASE_MS / 3);
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    if (read(key)?.owner === own) localStorage.removeItem(key);
  }
}

async function take(key: string, own: string): Promise<boolean> {
  const held = read(key);
  if (held !== undefined && held.until > Date.now()) return false;
  write(key, own);
  // Another window may have written at the same instant: the last one has it.
  await pause(POLL_MS);
  return read(key)?.owner === own;
}

function read(key: string): { owner: string; until: number } | undefined {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

function write(key: string, owner: string): void {
  localStorage.setItem(key, JSON.stringify({ owner, until: Date.now() + LEASE_MS }));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** 128 random bits as text. (`crypto.randomUUID` is not there on pages that are not served securely.) */
export function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
