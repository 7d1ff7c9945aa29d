// The page in place of the web client: shows why there is none now, and loads the web client as soon as it is built.
// It asks again when an answer says it may. Nothing is fetched while the page is not shown.
"use strict";

const EVERY = 1000;
const DEADLINE = 8000;

const reason = document.getElementById("reason");
let pause = EVERY;
let timer;

async function refresh() {
  pause = EVERY;
  try {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(DEADLINE), cache: "no-store" });
    pause = Math.max(EVERY, 1000 * Number(answer.headers.get("Retry-After")) || 0);
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
  if (!document.hidden) timer = setTimeout(refresh, pause);
}

document.addEventListener("visibilitychange", plan);
plan();
