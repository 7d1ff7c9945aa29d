// Filters the API's description while somebody types, and opens what a link leads to.
"use strict";

const field = document.getElementById("filter");
const found = document.getElementById("found");
const parts = [...document.querySelectorAll("details")].map((part) => ({ part, text: part.textContent.toLowerCase() }));

function filter() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { part, text } of parts) {
    part.hidden = !words.every((word) => text.includes(word));
    if (!part.hidden) count += 1;
  }
  for (const section of document.querySelectorAll("main section"))
    section.hidden = section.querySelector("details:not([hidden])") === null;
  found.textContent = words.length === 0 ? "" : `${count} of ${parts.length}`;
}

function open() {
  const part = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (part?.tagName !== "DETAILS") return;
  if (part.hidden) {
    field.value = "";
    filter();
  }
  part.open = true;
  part.scrollIntoView();
}

field.parentElement.hidden = false;
field.addEventListener("input", filter);
window.addEventListener("hashchange", open);
window.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target === field) return;
  event.preventDefault();
  field.focus();
});
open();
