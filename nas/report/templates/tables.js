// Tables that are sorted by a click on a head and filtered by a text, and texts of points under the pointer.
"use strict";
(() => {
  const numberIn = (text) => parseFloat(text.replace(/[#,≥\s]/g, ""));
  const compare = (a, b) => {
    const [x, y] = [numberIn(a), numberIn(b)];
    if (!isNaN(x) && !isNaN(y)) return x - y;
    return isNaN(x) - isNaN(y) || a.localeCompare(b);
  };

  const sort = (table, column) => {
    const heads = [...table.tHead.rows[0].cells];
    const downwards = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", downwards ? "descending" : "ascending");
    const isNumber = heads[column].classList.contains("num") || heads[column].textContent === "trial";
    const order = isNumber ? compare : (a, b) => a.localeCompare(b);
    const rows = [...table.tBodies[0].rows].map((row) => [row.cells[column].textContent, row]);
    // Cells without a number stay at the end in both directions.
    const empty = (text) => isNumber && isNaN(numberIn(text));
    rows.sort(([a], [b]) => (empty(a) || empty(b) ? compare(a, b) : downwards ? order(b, a) : order(a, b)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };

  const filter = (table, words) => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    return shown;
  };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column));
      head.append(button);
    });
    const input = document.createElement("input");
    input.type = "search";
    input.placeholder = "filter, such as: failed";
    input.setAttribute("aria-label", "filter the rows");
    const count = document.createElement("output");
    const apply = () => { count.textContent = `${filter(table, input.value).toLocaleString("en")} shown`; };
    input.addEventListener("input", apply);
    const line = document.createElement("p");
    line.className = "filter";
    line.append(input, " ", count);
    table.closest(".scroll").before(line);
  }

  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  const texts = new WeakMap();
  document.addEventListener("pointerover", (event) => {
    const mark = event.target;
    const title = mark.localName === "use" && mark.querySelector("title");
    if (title) {
      // Without its title the browser shows no second text of its own.
      texts.set(mark, title.textContent);
      title.remove();
    }
    tip.hidden = !texts.has(mark);
    if (tip.hidden) return;
    tip.textContent = texts.get(mark);
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 4))}px`;
    tip.style.top = `${event.clientY + box.height + 20 > innerHeight ? Math.max(4, event.clientY - box.height - 12) : event.clientY + 14}px`;
  });
})();
