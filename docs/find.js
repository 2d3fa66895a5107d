"use strict";
// The search box: names that begin with what was typed first, then names that contain it.
const box = document.getElementById("find"), found = document.getElementById("found");

function ranked(text) {
  const wanted = text.toLowerCase();
  const scored = [];
  for (const [name, target] of NAMES) {
    const lower = name.toLowerCase(), last = lower.split(".").pop();
    const score = last === wanted ? 0 : last.startsWith(wanted) ? 1 : lower.includes(wanted) ? 2 : 3;
    if (score < 3) scored.push([score, name.length, name, target]);
  }
  return scored.sort((a, b) => a[0] - b[0] || a[1] - b[1]).slice(0, 20);
}

function show() {
  const text = box.value.trim();
  found.replaceChildren();
  if (!text) return;
  const hits = ranked(text);
  if (!hits.length) found.textContent = "no such name";
  for (const [, , name, target] of hits) {
    const link = document.createElement("a");
    link.href = target;
    link.textContent = name;
    found.append(link);
  }
}

box.addEventListener("input", show);
box.addEventListener("keydown", event => {
  const first = found.querySelector("a");
  if (event.key === "Enter" && first) location.href = first.href;
});
