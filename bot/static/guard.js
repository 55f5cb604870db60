// What must not be left to a stale page: if no fresh state came for a while, say so and never "Paused".
// Each fragment from the server carries a new data-beat; countdowns run between two fragments. Who wants it hears two
// short tones when a call stops being safe: an agent looks at ten other windows.
"use strict";
(() => {
  const STALE_MS = 7000;
  const TICK_MS = 500;
  let beat = null;
  let seenAt = performance.now();
  let countedAt = performance.now();
  let wasSafe = false;
  let audio = null;

  // A browser lets a page sound only after a click in it: ticking the box is one.
  function wantsSound() {
    const box = document.getElementById("sound");
    return Boolean(box && box.checked);
  }

  function rememberSound(event) {
    if (event.target.id !== "sound") return;
    localStorage.setItem("sound", event.target.checked ? "on" : "off");
    if (event.target.checked) warn();
  }

  function warn() {
    audio = audio || new AudioContext();
    for (const [start, pitch] of [[0, 880], [0.25, 660]]) {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      volume.gain.value = 0.15;
      tone.frequency.value = pitch;
      tone.connect(volume).connect(audio.destination);
      tone.start(audio.currentTime + start);
      tone.stop(audio.currentTime + start + 0.18);
    }
  }

  function listen(call) {
    const isSafe = call.classList.contains("safe");
    if (wasSafe && !isSafe && !call.classList.contains("calm") && wantsSound()) warn();
    wasSafe = isSafe;
  }

  function lostTouch(call) {
    if (call.dataset.stale) return;
    call.dataset.stale = "yes";
    call.className = "call danger";
    call.querySelector("[role=status]").textContent = "NOT PAUSED: out of touch with the server; do not take the card";
    const reason = call.querySelector(".reason");
    if (reason) reason.textContent = "This page has had no news for some seconds. Reload it, or take the payment another way.";
    const left = call.querySelector(".left");
    if (left) left.remove();
  }

  function tick() {
    const call = document.getElementById("call");
    const now = performance.now();
    if (!call) return;
    listen(call);
    if (!call.dataset.beat) return;
    if (call.dataset.beat !== beat) {
      beat = call.dataset.beat;
      seenAt = countedAt = now;
      delete call.dataset.stale;
    }
    if (now - seenAt > STALE_MS) return lostTouch(call);
    const whole = Math.floor((now - countedAt) / 1000);
    if (whole < 1) return;
    countedAt += whole * 1000;
    for (const count of call.querySelectorAll("[data-seconds]")) {
      const left = Math.max(0, Number(count.dataset.seconds) - whole);
      count.dataset.seconds = left;
      count.textContent = left;
    }
  }

  // Until the answer is here, a pause that was asked for is not one.
  function asked(event) {
    const call = document.getElementById("call");
    if (!call || !event.target.querySelector(".pause, .keypad") || call.classList.contains("safe")) return;
    call.className = "call danger";
    call.querySelector("[role=status]").textContent = "NOT PAUSED: do not take the card yet";
    const reason = call.querySelector(".reason");
    if (reason) reason.textContent = "Asking Twilio to pause the recording …";
  }

  const box = document.getElementById("sound");
  if (box) box.checked = localStorage.getItem("sound") === "on";
  document.addEventListener("change", rememberSound);
  setInterval(tick, TICK_MS);
  document.addEventListener("submit", asked, true);
  document.addEventListener("visibilitychange", tick);
})();
