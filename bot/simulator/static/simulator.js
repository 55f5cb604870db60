// Keeps the living part of the page up to date, and says so when it cannot.
"use strict";

const EVERY_MS = 1000;
const GIVE_UP_MS = 5000;
const live = document.getElementById("live");
const offline = document.getElementById("offline");

async function refresh() {
  try {
    const reply = await fetch("/live", { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_MS) });
    if (!reply.ok) throw new Error(String(reply.status));
    replace(await reply.text());
    offline.hidden = true;
  } catch {
    offline.hidden = false;
  }
  setTimeout(refresh, EVERY_MS);
}

function replace(html) {
  const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = live.querySelector(".scroll")?.scrollLeft ?? 0;
  live.innerHTML = html;
  if (focused) document.getElementById(focused)?.focus();
  const table = live.querySelector(".scroll");
  if (table) table.scrollLeft = scrolled;
}

if (live) setTimeout(refresh, EVERY_MS);
