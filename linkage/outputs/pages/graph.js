// Draws the graph whose places were computed beforehand; lets a reader move, filter, find and ask. Needs cytoscape.
"use strict";
(() => {
  const stage = document.getElementById("graph-stage");
  if (!stage) return;
  const data = JSON.parse(document.getElementById("graph-data").textContent);
  const box = document.getElementById("graph");
  const panel = document.getElementById("graph-panel");
  const make = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const points = {
    network: "ellipse", payment: "rectangle", content: "diamond", contract: "pentagon", client: "triangle",
    registration: "-1 -1 1 -1 0 1", conduct: "hexagon", rhythm: "1 -1 1 1 -1 0",
    partition: "-.35 -1 .35 -1 .35 -.35 1 -.35 1 .35 .35 .35 .35 1 -.35 1 -.35 .35 -1 .35 -1 -.35 -.35 -.35",
    succession: "-1 -1 1 0 -1 1",
  };
  const shapeOf = (family) => points[family] || "ellipse";
  const isPolygon = (family) => /\d/.test(shapeOf(family));
  const elements = [];
  const holdings = data.accounts.map(() => []);
  data.accounts.forEach(([name, membership, x, y], n) => elements.push({
    data: { id: `a${n}`, n, label: name, find: name.toLowerCase(), membership }, classes: `account m${membership}`, position: { x, y },
  }));
  let ties = 0;
  data.values.forEach(([family, kind, label, x, y, radius, told, holders, values, side], n) => {
    const [name, colour] = data.families[family];
    const wide = side ? " wide" : "";
    elements.push({
      data: { id: `v${n}`, n, label, find: `${label} ${told.map((pair) => pair[1]).join(" ")}`.toLowerCase(), family, colour,
        size: 2 * radius, font: side ? Math.max(12, radius * 1.25) : 13, align: ["left", "center", "right"][side + 1], rise: side ? "center" : "bottom", shape: isPolygon(name) ? "polygon" : shapeOf(name),
        points: isPolygon(name) ? shapeOf(name) : "-1 -1 1 -1 1 1 -1 1" },
      classes: `value f${family}${wide}`, position: { x, y },
    });
    for (const account of holders) {
      holdings[account].push(n);
      elements.push({ data: { id: `t${ties}`, source: `a${account}`, target: `v${n}`, colour }, classes: `tie f${family}${wide}` });
      ties += 1;
    }
  });
  box.hidden = false;
  const small = data.accounts.length <= 60;
  const shown = small ? ties : data.values.reduce((sum, value) => sum + (value[9] ? 0 : value[7].length), 0);
  const faint = Math.max(0.15, Math.min(0.55, 8 / Math.sqrt(shown + 1)));
  const style = [
    { selector: "node", style: { label: "data(label)", color: "#1b2127", "font-family": "sans-serif", "text-valign": "bottom",
      "text-margin-y": 3, "text-background-color": "#fff", "text-background-opacity": 0.75, "text-background-padding": 1 } },
    { selector: ".account", style: { width: 22, height: 22, "border-width": 1.5, "border-color": "#4a5460",
      "font-size": 10, "min-zoomed-font-size": 8 } },
    { selector: ".m0", style: { "background-color": "#8d98a3" } },
    { selector: ".m1", style: { "background-color": "#d5dade" } },
    { selector: ".m2", style: { "background-color": "#fff", "border-style": "dashed" } },
    { selector: ".value", style: { width: "data(size)", height: "data(size)", shape: "data(shape)", "shape-polygon-points": "data(points)",
      "background-color": "data(colour)", "font-size": "data(font)", "text-halign": "data(align)", "text-valign": "data(rise)", "min-zoomed-font-size": 8, "border-width": 1, "border-color": "#fff" } },
    { selector: ".tie", style: { "curve-style": "haystack", "haystack-radius": 0, width: 1.4, "line-color": "data(colour)", opacity: faint, events: "no" } },
    { selector: ".value.wide", style: { "text-margin-y": 0, "text-background-opacity": 0 } },
    { selector: ".tie.wide", style: { display: small ? "element" : "none", opacity: faint * 0.6 } },
    { selector: ".tie.near", style: { display: "element", opacity: 0.7, width: 2.2, "z-index": 9 } },
    { selector: ".gone", style: { display: "none" } },
    { selector: ".far", style: { opacity: 0.12 } },
    { selector: ".tie.far", style: { opacity: 0.02 } },
    { selector: "node.near", style: { "min-zoomed-font-size": 0, "z-index": 10 } },
    { selector: "node.told", style: { "border-width": 4, "border-color": "#c2185b", "min-zoomed-font-size": 0, "z-index": 11 } },
    { selector: "node.found", style: { "border-width": 5, "border-color": "#c2185b", "min-zoomed-font-size": 0, "z-index": 11 } },
  ];
  const graph = cytoscape({
    container: stage, elements, style, layout: { name: "preset", fit: true, padding: 24 }, minZoom: 0.02, maxZoom: 4,
    autoungrabify: true, boxSelectionEnabled: false, selectionType: "single", userZoomingEnabled: false,
    hideEdgesOnViewport: ties > 4000, textureOnViewport: false, pixelRatio: "auto",
  });
  // From far away an account is drawn larger than it is, up to where dots would begin to touch, so that it can be seen.
  let grown = 1;
  const grow = () => {
    const wanted = Math.min(2.25, Math.max(1, 6 / (22 * graph.zoom())));
    if (Math.abs(wanted - grown) < 0.15 && (wanted > 1 || grown === 1)) return;
    grown = wanted;
    graph.nodes(".account").style({ width: 22 * grown, height: 22 * grown });
  };
  graph.on("zoom", grow);
  grow();
  const fit = () => graph.fit(graph.nodes().not(".gone"), 24);
  const zoomBy = (factor) => graph.zoom({ level: graph.zoom() * factor, renderedPosition: { x: graph.width() / 2, y: graph.height() / 2 } });

  // Who and what ties: the pointer shows, a click keeps.
  let kept = null;
  const rows = (pairs) => {
    const list = make("dl");
    for (const [what, much] of pairs) list.append(make("dt", what), make("dd", much));
    return list;
  };
  const names = (title, entries) => {
    const part = make("div");
    part.append(make("h4", title));
    const list = make("ul");
    for (const [text, id, colour] of entries.slice(0, 60)) {
      const item = make("li");
      const button = make("button", text);
      button.type = "button";
      if (colour) button.style.borderLeftColor = colour;
      button.addEventListener("click", () => keep(graph.getElementById(id), true));
      item.append(button);
      list.append(item);
    }
    if (entries.length > 60) list.append(make("li", `and ${(entries.length - 60).toLocaleString("en")} more`));
    part.append(list);
    return part;
  };
  const tellAccount = (n) => {
    const [name, membership, , , told] = data.accounts[n];
    const button = make("button", "Show in the table of members", "link");
    button.type = "button";
    button.addEventListener("click", () => {
      const field = document.querySelector("#members .find input[type=search]");
      field.value = name;
      field.dispatchEvent(new Event("input"));
      document.getElementById("members").scrollIntoView();
    });
    const tied = holdings[n].map((v) => [data.values[v][2], `v${v}`, data.families[data.values[v][0]][1]]);
    panel.replaceChildren(make("h3", name), make("p", `${data.memberships[membership]} member`), rows(told),
      names(`Tied by ${tied.length}`, tied), button);
  };
  const tellValue = (n) => {
    const [family, kind, label, , , , told, holders] = data.values[n];
    const [name, , words] = data.families[family];
    panel.replaceChildren(make("h3", label), make("p", `${name}${kind ? `, ${kind}` : ""}: ${words}`), rows(told),
      names(`Ties ${holders.length.toLocaleString("en")} accounts`, holders.map((a) => [data.accounts[a][0], `a${a}`])));
  };
  const tellNothing = () => {
    const words = "Point at a dot to see who it is and what ties it; click to keep it. Drag to move. Scroll to zoom once you have clicked into the picture; or use + and −.";
    panel.replaceChildren(make("p", words, "muted"));
  };
  const show = (dot) => graph.batch(() => {
    graph.elements().removeClass("near far told");
    if (!dot) return;
    const around = dot.closedNeighborhood();
    graph.elements().not(around).addClass("far");
    around.addClass("near");
    if (dot.degree() > 40) around.nodes().not(dot).removeClass("near");
    dot.addClass("told");
  });
  const tell = (dot) => {
    show(dot);
    if (!dot) tellNothing();
    else if (dot.hasClass("account")) tellAccount(dot.data("n"));
    else tellValue(dot.data("n"));
  };
  const keep = (dot, centre) => {
    kept = dot;
    tell(dot);
    if (!dot || !centre || dot.hasClass("gone")) return;
    graph.fit(dot.closedNeighborhood().not(".wide").add(dot), 70);
    if (graph.zoom() > 1.2) graph.zoom({ level: 1.2, position: dot.position() });
  };
  graph.on("mouseover", "node", (event) => { stage.style.cursor = "pointer"; if (!kept) tell(event.target); });
  graph.on("mouseout", "node", () => { stage.style.cursor = ""; if (!kept) tell(null); });
  graph.on("tap", (event) => keep(event.target === graph || event.target === kept ? null : event.target));
  tellNothing();

  // The wheel scrolls the page until the reader has gone into the picture.
  stage.addEventListener("pointerdown", () => graph.userZoomingEnabled(true));
  stage.addEventListener("pointerleave", () => graph.userZoomingEnabled(false));
  const keys = {
    "+": () => zoomBy(1.3), "=": () => zoomBy(1.3), "-": () => zoomBy(1 / 1.3), "0": fit, Escape: () => keep(null),
    ArrowLeft: () => graph.panBy({ x: 60, y: 0 }), ArrowRight: () => graph.panBy({ x: -60, y: 0 }),
    ArrowUp: () => graph.panBy({ x: 0, y: 60 }), ArrowDown: () => graph.panBy({ x: 0, y: -60 }),
  };
  stage.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });

  // Filters: a kind of evidence and its ties, or the accounts of a membership.
  const bar = document.getElementById("graph-filters");
  const off = new Set();
  const addFilter = (words, count, selector, colour) => {
    const label = make("label", undefined, "chip");
    const field = make("input");
    field.type = "checkbox";
    field.checked = true;
    const mark = make("i");
    mark.style.background = colour;
    label.append(field, mark, make("span", words), make("small", count.toLocaleString("en")));
    bar.append(label);
    field.addEventListener("change", () => {
      if (field.checked) off.delete(selector);
      else off.add(selector);
      graph.batch(() => {
        const hidden = off.size ? graph.nodes([...off].join(",")) : graph.collection();
        // Ties are hidden by name: cytoscape remembers whether a tie of a hidden dot was to be seen.
        const gone = hidden.union(hidden.connectedEdges());
        graph.elements().not(gone).removeClass("gone");
        gone.addClass("gone");
      });
    });
  };
  data.families.forEach(([name, colour], n) => {
    const count = data.values.filter((value) => value[0] === n).reduce((sum, value) => sum + value[8], 0);
    if (count) addFilter(name, count, `.f${n}`, colour);
  });
  data.memberships.forEach((name, n) => {
    const count = data.accounts.filter((account) => account[1] === n).length;
    if (count) addFilter(name, count, `.m${n}`, ["#8d98a3", "#d5dade", "#fff"][n]);
  });
  const finder = document.getElementById("graph-find");
  const told = document.getElementById("graph-found");
  finder.addEventListener("input", () => {
    const wanted = finder.value.trim().toLowerCase();
    graph.batch(() => {
      graph.nodes().removeClass("found");
      const found = wanted ? graph.nodes().filter((dot) => dot.data("find").includes(wanted)) : graph.collection();
      found.addClass("found");
      told.textContent = wanted ? `${found.length.toLocaleString("en")} found` : "";
      if (found.length === 1) keep(found[0], true);
      else if (kept) keep(null);
    });
  });
  document.getElementById("graph-in").addEventListener("click", () => zoomBy(1.3));
  document.getElementById("graph-out").addEventListener("click", () => zoomBy(1 / 1.3));
  document.getElementById("graph-fit").addEventListener("click", fit);
  window.linkageGraph = graph;
})();
