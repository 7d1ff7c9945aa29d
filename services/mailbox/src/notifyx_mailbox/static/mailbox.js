// The list shows new mail by itself: it asks for the newest id and reloads when that has changed, unless somebody
// searches just now. Where there is no such answer it says so, and asks again when the answer says it may. "Remove all" is
// here and not a form, since browsers hide where forms of this page come from.
"use strict";

const EVERY = 2000;

const shown = document.querySelector("[data-newest]").dataset.newest;
const field = document.querySelector("input[type=search]");
const late = document.getElementById("late");

function busy() {
  return document.hidden || field.value !== field.defaultValue || document.activeElement === field;
}

async function refresh() {
  let pause = EVERY;
  try {
    const answer = busy() ? undefined : await fetch("/api/messages?limit=1");
    if (answer?.ok) {
      late.hidden = true;
      const messages = await answer.json();
      if ((messages[0]?.id ?? "") !== shown) location.reload();
    } else if (answer !== undefined) {
      pause = Math.max(EVERY, 1000 * Number(answer.headers.get("Retry-After")) || 0);
      say(`The mailbox answers with an error (HTTP ${answer.status})`);
    }
  } catch {
    // It may be restarted.
    say("The mailbox does not answer");
  }
  setTimeout(refresh, pause);
}

function say(what) {
  const text = `${what}: new mail is not shown until it does again. It is asked again by itself.`;
  if (late.textContent !== text) late.textContent = text;
  late.hidden = false;
}

setTimeout(refresh, EVERY);

const clear = document.getElementById("clear");
if (clear !== null) {
  clear.hidden = false;
  clear.addEventListener("click", async () => {
    if (!confirm(`Remove all ${clear.dataset.count} mails? This cannot be undone.`)) return;
    const answer = await fetch("/api/messages", { method: "DELETE" }).catch(() => undefined);
    if (answer?.ok) location.assign("/");
    else alert(`The mails are not removed: the mailbox ${answer ? `answers with an error (HTTP ${answer.status})` : "does not answer"}.`);
  });
}
