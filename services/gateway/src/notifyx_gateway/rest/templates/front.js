// The page in place of the web client: shows why there is none now, and loads the web client as soon as it is built.
// Nothing is fetched while the page is not shown.
"use strict";

const EVERY = 1000;
const DEADLINE = 8000;

const reason = document.getElementById("reason");
let timer;

async function refresh() {
  try {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(DEADLINE), cache: "no-store" });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("reason");
      if (fresh === null) {
        location.reload();
        return;
      }
      if (fresh.textContent !== reason.textContent) reason.textContent = fresh.textContent;
    }
  } catch {
    // The gateway is away for a moment; the next try finds it.
  }
  plan();
}

function plan() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, EVERY);
}

document.addEventListener("visibilitychange", plan);
plan();
