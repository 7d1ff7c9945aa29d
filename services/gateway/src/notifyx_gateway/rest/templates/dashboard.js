// Keeps the dashboard live: fetches its live part every two seconds, more seldom while the gateway does not answer,
// and says so. Nothing is fetched while the page is not shown.
"use strict";

const EVERY = 2000;
const LONGEST = 15000;
const DEADLINE = 8000;

const live = document.getElementById("live");
const away = document.getElementById("away");
let failures = 0;
let last = new Date();
let timer;

async function refresh() {
  try {
    const answer = await fetch(`/dashboard/live${location.search}`, { signal: AbortSignal.timeout(DEADLINE), cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    live.replaceChildren(...fresh.body.childNodes);
    document.title = `${document.getElementById("headline").textContent} · Notifyx`;
    last = new Date();
    failures = 0;
    away.hidden = true;
  } catch {
    failures += 1;
    document.title = "No answer · Notifyx";
    away.textContent = `The gateway does not answer. What you see is from ${last.toLocaleTimeString()}; trying again.`;
    away.hidden = false;
  }
  plan();
}

function plan() {
  clearTimeout(timer);
  if (document.hidden) return;
  const pause = failures ? Math.min(LONGEST, EVERY * 2 ** failures) : EVERY;
  timer = setTimeout(refresh, pause * (0.75 + Math.random() / 2));
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
plan();
