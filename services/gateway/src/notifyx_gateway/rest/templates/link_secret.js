// The secret of the link is behind the "#", so that no server sees it before its reader presses a button. It moves into
// the forms, and out of the address into the state of this entry of the tab's history: a reload keeps it.
"use strict";

const fields = document.querySelectorAll("input[name=token]");
const secret = location.hash.slice(1) || fields[0].value || history.state?.link || "";
if (secret !== "" || location.search !== "") history.replaceState({ link: secret }, "", location.pathname);
for (const field of fields) {
  field.value = secret;
  field.disabled = false;
}
document.getElementById("incomplete").hidden = secret !== "";

// Whoever can only be refused is told before they type. What else goes wrong is said by the answer to the form.
async function check() {
  const body = JSON.stringify({ kind: "verification", token: secret });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("/api/v1/links/check", { method: "POST", headers, body });
  if (answer.status !== 400 || (await answer.json()).code !== "invalid_link") return;
  document.getElementById("link").hidden = true;
  document.getElementById("ended").hidden = false;
}
if (secret !== "") check().catch(() => undefined);

for (const button of document.querySelectorAll("button[aria-controls]")) {
  const field = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
}
