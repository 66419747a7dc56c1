// Copy buttons, which nobody needs: what they copy stands on the page, and without this file they are not shown.
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
