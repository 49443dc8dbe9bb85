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
const addFilter = (table) => {
  const label = document.createElement("label");
  label.className = "find";
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Find in this table";
  field.setAttribute("aria-label", "Find in this table");
  label.append(field);
  table.parentElement.before(label);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of table.querySelectorAll("tbody tr:not(.group)"))
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
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
