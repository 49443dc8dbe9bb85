// The graph of a cluster in a notebook; after the text of cytoscape, which is put before it as `cytoscape`.
// A name of cytoscape's, or the corners of a polygon: the marks of the report and of its pictures.
const SHAPES = { network: "ellipse", payment: "rectangle", content: "diamond", contract: "pentagon", client: "triangle",
  registration: "-1 -1 1 -1 0 1", conduct: "hexagon", rhythm: "1 -1 1 1 -1 0", succession: "-1 -1 1 0 -1 1",
  partition: "-.35 -1 .35 -1 .35 -.35 1 -.35 1 .35 .35 .35 .35 1 -.35 1 -.35 .35 -1 .35 -1 -.35 -.35 -.35" };
const SQUARE = "-1 -1 1 -1 1 1 -1 1";
const FILLS = ["#8d98a3", "#d5dade", "#ffffff"];
const PICKED = "#c2185b";

function make(tag, text, kind) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function markOf(family) {
  const shape = SHAPES[family] || "ellipse";
  return /\d/.test(shape) ? { shape: "polygon", points: shape } : { shape, points: SQUARE };
}

function elementsOf(data) {
  const accounts = data.accounts.map(([id, membership, x, y], n) => ({
    data: { id: `a${n}`, n, label: id, fill: FILLS[membership], line: membership === 2 ? "dashed" : "solid" },
    classes: "account", position: { x, y } }));
  const values = data.values.map(([family, kind, label, x, y, radius, told, holders, count, side], n) => ({
    data: { id: `v${n}`, n, label, size: 2 * radius, fill: data.families[family][1],
      ...markOf(data.families[family][0]), align: ["left", "center", "right"][side + 1],
      rise: side ? "center" : "bottom", font: side ? Math.max(12, 1.25 * radius) : 13 },
    classes: `value f${family}${side ? " wide" : ""}`, position: { x, y } }));
  const ties = data.values.flatMap((value, n) => value[7].map((account) => ({
    data: { id: `t${n}-${account}`, source: `a${account}`, target: `v${n}`, fill: data.families[value[0]][1] },
    classes: `tie f${value[0]}${value[9] ? " wide" : ""}` })));
  return [...accounts, ...values, ...ties];
}

function styleOf(ties) {
  const faint = Math.max(0.15, Math.min(0.55, 8 / Math.sqrt(ties + 1)));
  return [
    { selector: "node", style: { label: "data(label)", color: "#1b2127", "font-size": 10, "text-valign": "bottom", "text-margin-y": 3,
      "background-color": "data(fill)", "min-zoomed-font-size": 7, "text-background-color": "#fff", "text-background-opacity": 0.75 } },
    { selector: ".account", style: { width: 22, height: 22, "border-width": 1.5, "border-color": "#4a5460", "border-style": "data(line)" } },
    { selector: ".value", style: { width: "data(size)", height: "data(size)", shape: "data(shape)", "shape-polygon-points": "data(points)", "font-size": "data(font)", "text-halign": "data(align)", "text-valign": "data(rise)" } },
    { selector: ".value.wide", style: { "text-margin-y": 0, "text-background-opacity": 0 } },
    { selector: ".tie", style: { "curve-style": "haystack", width: 1.4, "line-color": "data(fill)", opacity: faint, events: "no" } },
    { selector: ".tie.wide", style: { opacity: faint * 0.5 } },
    { selector: ".far", style: { opacity: 0.1 } },
    { selector: ".tie.far", style: { opacity: 0.02 } },
    { selector: ".gone", style: { display: "none" } },
    { selector: ".near", style: { "min-zoomed-font-size": 0, "z-index": 10 } },
    { selector: ".picked", style: { "border-width": 4, "border-color": PICKED, "border-style": "solid", "min-zoomed-font-size": 0 } },
  ];
}

function render({ model, el }) {
  const data = model.get("graph");
  const numbers = new Map(data.accounts.map(([id], n) => [id, n]));
  const box = make("div", undefined, "linkage-view");
  const bar = make("div", undefined, "linkage-bar");
  const stage = make("div", undefined, "linkage-stage");
  const words = make("div", undefined, "linkage-words");
  box.append(bar, stage, words);
  el.append(box);
  const elements = elementsOf(data);
  const graph = cytoscape({ container: stage, elements, style: styleOf(elements.length), minZoom: 0.02, maxZoom: 4,
    layout: { name: "preset", fit: true, padding: 24 }, autoungrabify: true, boxSelectionEnabled: false, userZoomingEnabled: false });
  const rest = () => {
    const count = model.get("selected").length;
    words.textContent = count
      ? `${count.toLocaleString("en")} ${count === 1 ? "account" : "accounts"} picked, in view.selected. A click beside the dots drops them.`
      : "Point at a dot to see what it ties; click an account, or a value for all its accounts, to pick. Drag to move, scroll to zoom after a click.";
  };
  const tell = (dot) => {
    const isAccount = dot.hasClass("account");
    const row = isAccount ? data.accounts[dot.data("n")] : data.values[dot.data("n")];
    const title = isAccount ? `${row[0]}, ${data.memberships[row[1]]}` : `${row[2]}, ${data.families[row[0]][0]}`;
    const told = isAccount ? row[4] : row[6];
    words.replaceChildren(make("b", title), ...told.map(([what, much]) => make("span", `${what}: ${much}`)));
  };
  const near = (dot) => graph.batch(() => {
    graph.elements().removeClass("far near");
    if (!dot) return;
    graph.elements().not(dot.closedNeighborhood()).addClass("far");
    (dot.degree() > 40 ? dot : dot.closedNeighborhood().nodes()).addClass("near");
  });
  const pick = (accounts) => { model.set("selected", accounts); model.save_changes(); };
  const showPicked = () => {
    graph.nodes().removeClass("picked");
    for (const id of model.get("selected")) if (numbers.has(id)) graph.getElementById(`a${numbers.get(id)}`).addClass("picked");
    rest();
  };
  graph.on("mouseover", "node", (event) => { near(event.target); tell(event.target); });
  graph.on("mouseout", "node", () => { near(null); rest(); });
  graph.on("tap", (event) => {
    graph.userZoomingEnabled(true);
    if (event.target === graph) return pick([]);
    const dot = event.target;
    const ids = dot.hasClass("account") ? [data.accounts[dot.data("n")][0]] : data.values[dot.data("n")][7].map((n) => data.accounts[n][0]);
    const before = new Set(model.get("selected"));
    const all = ids.every((id) => before.has(id));
    for (const id of ids) if (all) before.delete(id); else before.add(id);
    pick([...before].sort());
  });
  const showHidden = () => graph.batch(() => {
    const hidden = new Set(model.get("hidden"));
    data.families.forEach(([name], n) => graph.elements(`.f${n}`)[hidden.has(name) ? "addClass" : "removeClass"]("gone"));
    for (const field of bar.querySelectorAll("input")) field.checked = !hidden.has(field.value);
  });
  for (const [name, colour] of data.families) {
    const label = make("label");
    const field = Object.assign(make("input"), { type: "checkbox", value: name, checked: true });
    const mark = make("i");
    mark.style.background = colour;
    field.addEventListener("change", () => {
      const hidden = new Set(model.get("hidden"));
      if (field.checked) hidden.delete(name); else hidden.add(name);
      model.set("hidden", [...hidden].sort());
      model.save_changes();
    });
    label.append(field, mark, make("span", name));
    bar.append(label);
  }
  const fit = make("button", "Fit");
  fit.type = "button";
  fit.addEventListener("click", () => graph.fit(graph.nodes().not(".gone"), 24));
  bar.append(fit);
  stage.addEventListener("pointerleave", () => graph.userZoomingEnabled(false));
  model.on("change:selected", showPicked);
  model.on("change:hidden", showHidden);
  showHidden();
  showPicked();
  const watch = new ResizeObserver(() => { graph.resize(); graph.fit(graph.nodes().not(".gone"), 24); });
  watch.observe(stage);
  return () => { watch.disconnect(); model.off("change:selected", showPicked); model.off("change:hidden", showHidden); graph.destroy(); };
}

export default { render };
