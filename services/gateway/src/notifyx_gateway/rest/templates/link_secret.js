// The secret of the link is behind the "#", so that no server sees it before its reader presses a button. It moves into
// the forms, and out of the address into the state of this entry of the tab's history: a reload keeps it. Another link
// that is opened in the same tab takes the place of the one before.
"use strict";

const fields = document.querySelectorAll("input[name=token]");
const rendered = fields[0].value;
let checks = 0;

function take() {
  const secret = location.hash.slice(1) || history.state?.link || rendered;
  if (secret !== "" || location.search !== "") history.replaceState({ link: secret }, "", location.pathname);
  for (const field of fields) {
    field.value = secret;
    field.disabled = false;
  }
  document.getElementById("incomplete").hidden = secret !== "";
  say(false);
  checks += 1;
  if (secret !== "") check(secret, checks).catch(() => undefined);
}

function say(ended) {
  document.getElementById("link").hidden = ended;
  document.getElementById("ended").hidden = !ended;
}

// Whoever can only be refused is told before they type. What else goes wrong is said by the answer to the form.
async function check(secret, number) {
  const body = JSON.stringify({ kind: "verification", token: secret });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("/api/v1/links/check", { method: "POST", headers, body });
  if (answer.status !== 400 || (await answer.json()).code !== "invalid_link") return;
  if (number === checks) say(true);
}

for (const button of document.querySelectorAll("button[aria-controls]")) {
  const field = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
}

take();
window.addEventListener("hashchange", () => {
  document.getElementById("problem")?.remove();
  take();
});
window.addEventListener("popstate", take);
// As the browser kept it, when one goes back: the link may have been used meanwhile.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) take();
});
