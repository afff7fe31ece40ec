// Loads a served page anew when the run has gone on, and leaves the reader where they were: open parts, sorted and
// filtered tables, the place of the page and of its wide tables, and the text that they are writing.
"use strict";
(() => {
  const parts = [...document.querySelectorAll("details[id]")];
  const key = `adaptnas ${location.pathname}`;

  // Tables appear as the run goes on, so that each is known by the part that it is in.
  const tables = {};
  document.querySelectorAll("table[data-sortable]").forEach((table, place) => {
    tables[table.closest("details[id]")?.id || `table ${place}`] = table;
  });
  const inputOf = (table) => table.closest(".scroll").previousElementSibling.querySelector("input");

  const stateOf = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const column = heads.findIndex((head) => head.hasAttribute("aria-sort"));
    const input = inputOf(table);
    const writes = document.activeElement === input ? [input.selectionStart, input.selectionEnd] : null;
    const sorted = column < 0 ? null : { head: heads[column].textContent, by: heads[column].getAttribute("aria-sort") };
    return { sorted, words: input.value, writes, across: table.closest(".scroll").scrollLeft };
  };

  const restore = (table, { sorted, words, writes, across }) => {
    const head = sorted && [...table.tHead.rows[0].cells].find((each) => each.textContent === sorted.head);
    // The first click sorts upwards, the second downwards.
    for (let click = 0; head && click < 2 && head.getAttribute("aria-sort") !== sorted.by; click += 1) {
      head.querySelector("button").click();
    }
    const input = inputOf(table);
    input.value = words;
    if (words) input.dispatchEvent(new Event("input"));
    if (writes) {
      input.focus({ preventScroll: true });
      input.setSelectionRange(...writes);
    }
    table.closest(".scroll").scrollLeft = across;
  };

  history.scrollRestoration = "manual";
  const kept = JSON.parse(sessionStorage.getItem(key) || "null");
  if (kept) {
    sessionStorage.removeItem(key);
    parts.filter((part) => part.id in kept.parts).forEach((part) => { part.open = kept.parts[part.id]; });
    Object.entries(tables).forEach(([name, table]) => { if (kept.tables[name]) restore(table, kept.tables[name]); });
    scrollTo(...kept.place);
  }

  const keep = () => {
    const state = {
      parts: Object.fromEntries(parts.map((part) => [part.id, part.open])),
      tables: Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, stateOf(table)])),
      place: [scrollX, scrollY],
    };
    sessionStorage.setItem(key, JSON.stringify(state));
  };

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
      keep();
      location.reload();
    }
    first = first ?? now;
  };
  ask();
  setInterval(ask, 2000);
})();
