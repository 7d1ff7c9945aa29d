// Keeps the dashboard live: asks for a live part other than the shown one, which the gateway answers as soon as it has
// one, or after a second with nothing. A gateway that says nothing for longer is away: the page says so in place of the
// headline, shows the rest without colours, and tries again every second or two, also while an earlier request still
// waits. One that answers, but not with that, is no silence: the page says what it answered, and asks when the answer
// says it may. Nothing is fetched while the page is not shown. Times are shown in the time zone of the reader, which they
// name.
"use strict";

const PAUSE = 100;
const SILENT = 2000;
const RETRY = 1400;
const DEADLINE = 8000;
const MAX_WAITING = 6;

const live = document.getElementById("live");
const away = document.getElementById("away");
const waiting = new Set();
let failing = false;
let last = new Date();
let notBefore = 0;
let timer;

function clock(moment, day) {
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" };
  return moment.toLocaleString([], day ? { day: "numeric", month: "short", ...time } : time);
}

function localize() {
  for (const time of live.querySelectorAll("time")) {
    time.textContent = clock(new Date(time.dateTime), "day" in time.dataset);
  }
}

function address() {
  const query = new URLSearchParams(location.search);
  query.set("after", live.querySelector("[data-version]").dataset.version);
  return `/dashboard/live?${query}`;
}

async function refresh() {
  const request = new AbortController();
  const silent = setTimeout(() => fail("the gateway does not answer"), SILENT);
  const deadline = setTimeout(() => request.abort(), DEADLINE);
  waiting.add(request);
  try {
    const answer = await fetch(address(), { signal: request.signal, cache: "no-store" });
    if (!answer.ok) {
      if (waiting.delete(request)) refuse(answer);
      return;
    }
    const fresh = answer.status === 204 ? null : new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!waiting.has(request)) return;
    if (fresh !== null) show(fresh);
    answered();
  } catch {
    if (!waiting.has(request)) return;
    waiting.delete(request);
    fail("the gateway does not answer");
    return;
  } finally {
    clearTimeout(silent);
    clearTimeout(deadline);
  }
  plan();
}

function show(fresh) {
  live.replaceChildren(...fresh.body.childNodes);
  localize();
}

function answered() {
  document.title = `${document.getElementById("headline").textContent} · Notifyx`;
  last = new Date();
  notBefore = 0;
  failing = false;
  away.hidden = true;
  delete live.dataset.stale;
  // Of several requests the first answer counts.
  for (const other of waiting) other.abort();
  waiting.clear();
}

function refuse(answer) {
  const pause = retryAfter(answer.headers.get("Retry-After"));
  notBefore = Math.max(notBefore, Date.now() + pause);
  const why = answer.status === 429 ? "too many requests come from your address" : "the gateway answers with an error";
  fail(`${why} (HTTP ${answer.status})`, pause > 2 * RETRY ? `asked again at ${clock(new Date(notBefore))}` : undefined);
}

// In milliseconds; the header has seconds or a date.
function retryAfter(header) {
  if (header === null) return 0;
  const pause = /^\d+$/.test(header) ? 1000 * Number(header) : Date.parse(header) - Date.now();
  return Number.isFinite(pause) ? Math.max(0, pause) : 0;
}

function fail(why, next = "trying again") {
  failing = true;
  document.title = "Not known · Notifyx";
  const texts = { why, from: clock(last), next };
  for (const shown of away.querySelectorAll("span")) {
    const text = texts[shown.dataset.text];
    if (shown.textContent !== text) shown.textContent = text;
  }
  live.dataset.stale = "";
  away.hidden = false;
  plan();
}

function plan() {
  clearTimeout(timer);
  if (document.hidden) return;
  const pause = (failing ? RETRY : PAUSE) * (0.75 + Math.random() / 2);
  timer = setTimeout(attempt, Math.max(pause, notBefore - Date.now()));
}

function attempt() {
  if (waiting.size < MAX_WAITING) refresh();
  if (failing) plan();
}

function resume() {
  if (document.hidden) clearTimeout(timer);
  else if (notBefore > Date.now()) plan();
  else attempt();
}

document.addEventListener("visibilitychange", resume);
window.addEventListener("online", resume);
localize();
plan();
