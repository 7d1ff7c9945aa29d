// The list shows new mail by itself: it asks for the newest id and reloads when that has changed.
const shown = document.querySelector("[data-newest]").dataset.newest;
setInterval(async () => {
  if (document.hidden) return;
  try {
    const messages = await (await fetch("/api/messages?limit=1")).json();
    if ((messages[0]?.id ?? "") !== shown) location.reload();
  } catch {
    // The mailbox is being restarted; the next round asks again.
  }
}, 2000);
