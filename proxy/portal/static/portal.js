// What nobody needs: copy buttons for what stands on the page, and times in the zone of the device.
// Without this file no button is shown, and the times are UTC, as the page then says.
"use strict";
for (const button of document.querySelectorAll("[data-copy]")) {
  const from = document.getElementById(button.dataset.copy);
  if (!from || !navigator.clipboard) continue;
  const name = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const items = from.querySelectorAll("li");
    const text = items.length ? [...items].map((item) => item.textContent.trim()).join("\n") : from.textContent.trim();
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied: select it";
    }
    setTimeout(() => { button.textContent = name; }, 2000);
  });
}

const MONTHS = ["January", "February", "March", "April", "May", "June",
  "July", "August", "September", "October", "November", "December"];
const now = new Date();

function dayOf(at) {
  const year = at.getFullYear() === now.getFullYear() ? "" : ` ${at.getFullYear()}`;
  return `${at.getDate()} ${MONTHS[at.getMonth()]}${year}`;
}

// Said as the server says it: a day, a day with a time, or a time alone where the day is clear.
function here(said, at, before) {
  if (!/\d:\d\d/.test(said)) return dayOf(at);
  const clock = [at.getHours(), at.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
  const today = at.toDateString() === now.toDateString();
  if (said.startsWith("today")) return today ? `today at ${clock}` : `on ${dayOf(at)}, ${clock}`;
  const clear = !/[A-Z]/.test(said) && (today || (before && before.toDateString() === at.toDateString()));
  return clear ? clock : `${dayOf(at)}, ${clock}`;
}

let last = null;
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  const before = last && last.parent === time.parentNode ? last.at : null;
  time.textContent = here(time.textContent, at, before);
  last = { parent: time.parentNode, at };
}
for (const zone of document.querySelectorAll("[data-zone]")) zone.textContent = zone.dataset.zone;
