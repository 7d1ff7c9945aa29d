// The secret of the link is behind the "#", so that no server sees it before its reader presses a button. It moves into
// the forms, and out of the address, so that it stays in no history.
"use strict";

const secret = location.hash.slice(1);
const fields = document.querySelectorAll("input[name=token]");
if (secret !== "" || location.search !== "") history.replaceState(null, "", location.pathname);
for (const field of fields) {
  if (secret !== "") field.value = secret;
  field.disabled = false;
}
document.getElementById("incomplete").hidden = fields[0].value !== "";
