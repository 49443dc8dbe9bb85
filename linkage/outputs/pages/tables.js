// Sorts tables by a column and filters their rows. Without scripts the tables are whole, in their first order.
"use strict";
const keyOf = (row, place) => {
  const cell = row.cells[place];
  const number = cell.dataset.n;
  return number === undefined ? cell.textContent.trim() : number === "" ? -Infinity : Number(number);
};
const compare = (a, b) => (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0);
const sortBy = (table, heading, place) => {
  const rising = heading.getAttribute("aria-sort") === "descending"
    || (!heading.hasAttribute("aria-sort") && !heading.classList.contains("n"));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    rows.sort((a, b) => (rising ? 1 : -1) * compare(keyOf(a, place), keyOf(b, place)));
    body.append(...rows);
  }
};
const element = (tag, properties) => Object.assign(document.createElement(tag), properties);
const addGroups = (table, bar, refresh) => {
  const groups = [...table.tBodies].filter((body) => body.dataset.name);
  if (groups.length < 2) return;
  for (const body of groups) {
    const label = element("label", { className: "chip" });
    const box = element("input", { type: "checkbox", checked: true });
    const rows = body.querySelectorAll("tr:not(.group)").length;
    label.append(box, element("span", { textContent: body.dataset.name }), element("small", { textContent: rows.toLocaleString("en") }));
    box.addEventListener("change", () => { body.hidden = !box.checked; refresh(); });
    bar.append(label);
  }
};
const addFilter = (table) => {
  const bar = element("div", { className: "find" });
  const field = element("input", { type: "search", placeholder: "Find in this table", autocomplete: "off" });
  field.setAttribute("aria-label", "Find in this table");
  const told = element("span", { className: "muted" });
  told.setAttribute("role", "status");
  const refresh = () => {
    const wanted = field.value.trim().toLowerCase();
    const rows = [...table.querySelectorAll("tbody tr:not(.group)")];
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    const shown = rows.filter((row) => !row.hidden && !row.parentElement.hidden).length;
    told.textContent = shown === rows.length ? "" : `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };
  bar.append(field);
  addGroups(table, bar, refresh);
  bar.append(told);
  table.parentElement.before(bar);
  field.addEventListener("input", refresh);
};
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((heading, place) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sortBy(table, heading, place));
  });
  if (table.classList.contains("findable")) addFilter(table);
}
