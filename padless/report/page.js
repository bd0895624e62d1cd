"use strict";
const tip = document.getElementById("tip");

function show(element, x, y) {
  tip.textContent = element.dataset.tip;
  tip.style.display = "block";
  tip.style.left = Math.max(4, Math.min(x + 12, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = Math.max(4, Math.min(y + 14, innerHeight - tip.offsetHeight - 6)) + "px";
}

function hide() {
  tip.style.display = "none";
}

function hovered(event) {
  const element = event.target.closest && event.target.closest("[data-tip]");
  if (element) show(element, event.clientX, event.clientY);
  else hide();
}

addEventListener("pointermove", hovered);
addEventListener("pointerdown", hovered);
addEventListener("touchmove", hide, { passive: true });
addEventListener("focusin", (event) => {
  const element = event.target.closest("[data-tip]");
  if (element && element.matches(":focus-visible")) {
    const place = element.getBoundingClientRect();
    show(element, place.left, place.bottom);
  } else hide();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") hide();
});

for (const button of document.querySelectorAll("th button")) {
  button.onclick = () => {
    const head = button.parentNode, table = head.closest("table"), column = head.cellIndex;
    const up = head.getAttribute("aria-sort") === "descending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => {
      const value = row.cells[column].dataset.v;
      return value === undefined || isNaN(value) ? value || "" : +value;
    };
    for (const body of table.tBodies) {
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => (a > b ? 1 : a < b ? -1 : 0) * (up ? 1 : -1));
      body.append(...rows.map(([, row]) => row));
    }
  };
}

for (const button of document.querySelectorAll("[data-fold]")) {
  const body = document.getElementById(button.dataset.fold);
  const fold = (hidden) => {
    body.hidden = hidden;
    button.setAttribute("aria-expanded", String(!hidden));
    button.textContent = hidden ? button.dataset.show : button.dataset.hide;
  };
  button.hidden = false;
  button.onclick = () => fold(!body.hidden);
  fold(true);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.onclick = async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
}
