// Keeps the living part of the page up to date, and says so when it cannot.
"use strict";

const EVERY_MS = 1000;
const GIVE_UP_MS = 5000;
const live = document.getElementById("live");
const offline = document.getElementById("offline");

async function refresh() {
  await show();
  setTimeout(refresh, EVERY_MS);
}

async function show() {
  try {
    const reply = await fetch("/live", { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_MS) });
    if (!reply.ok) throw new Error(String(reply.status));
    replace(await reply.text());
    offline.hidden = true;
  } catch {
    offline.hidden = false;
  }
}

// Whoever types keys, or listens to a recording, must not lose them to the next refresh.
function replace(html) {
  const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
  const typed = [...live.querySelectorAll("input[id]")].filter((field) => field.value);
  const heard = [...live.querySelectorAll("audio")].filter((one) => !one.paused || (one.currentTime > 0 && !one.ended));
  const scrolled = live.querySelector(".scroll")?.scrollLeft ?? 0;
  live.innerHTML = html;
  for (const kept of [...typed, ...heard]) document.getElementById(kept.id)?.replaceWith(kept);
  if (focused) document.getElementById(focused)?.focus();
  const table = live.querySelector(".scroll");
  if (table) table.scrollLeft = scrolled;
}

// Keys are pressed without leaving the page. They are refused only when the leg is over, which the page then shows.
async function press(event) {
  const form = event.target;
  if (!form.closest(".keypad")) return;
  event.preventDefault();
  const keys = new URLSearchParams(new FormData(form, event.submitter));
  const field = form.querySelector("input");
  if (field) field.value = "";
  try {
    await fetch(form.action, { method: "POST", body: keys, redirect: "manual" });
  } catch {
    offline.hidden = false;
  }
  await show();
}

if (live) {
  live.addEventListener("submit", press);
  setTimeout(refresh, EVERY_MS);
}
