// The list shows new mail by itself: it asks for the newest id and reloads when that has changed, unless somebody
// searches just now. "Remove all" is here and not a form, since browsers hide where forms of this page come from.
"use strict";

const shown = document.querySelector("[data-newest]").dataset.newest;
const field = document.querySelector("input[type=search]");
setInterval(async () => {
  if (document.hidden || field.value !== field.defaultValue || document.activeElement === field) return;
  try {
    const messages = await (await fetch("/api/messages?limit=1")).json();
    if ((messages[0]?.id ?? "") !== shown) location.reload();
  } catch {
    // The mailbox is being restarted; the next round asks again.
  }
}, 2000);

const clear = document.getElementById("clear");
if (clear !== null) {
  clear.hidden = false;
  clear.addEventListener("click", async () => {
    if (!confirm(`Remove all ${clear.dataset.count} mails? This cannot be undone.`)) return;
    const answer = await fetch("/api/messages", { method: "DELETE" });
    if (answer.ok) location.assign("/");
  });
}
