// Loads a served page anew when the run has gone on, with the same parts of it open.
"use strict";
(() => {
  const parts = [...document.querySelectorAll("details[id]")];
  const inputs = [...document.querySelectorAll("input[type=search]")];
  const key = `adaptnas ${location.pathname}`;
  const kept = JSON.parse(sessionStorage.getItem(key) || "null");
  if (kept) {
    parts.forEach((part) => { part.open = kept.open.includes(part.id); });
    inputs.forEach((input, place) => {
      input.value = kept.words[place] || "";
      if (input.value) input.dispatchEvent(new Event("input"));
    });
    sessionStorage.removeItem(key);
  }
  let first = null;
  const ask = async () => {
    let now = null;
    try {
      const answer = await fetch("state", { cache: "no-store" });
      now = answer.ok ? await answer.text() : null;
    } catch {
      // The server has ended; the page stays as it is.
    }
    if (first !== null && now !== null && now !== first) {
      const open = parts.filter((part) => part.open).map((part) => part.id);
      sessionStorage.setItem(key, JSON.stringify({ open, words: inputs.map((input) => input.value) }));
      location.reload();
    }
    first = first ?? now;
  };
  ask();
  setInterval(ask, 2000);
})();
