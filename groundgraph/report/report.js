"use strict";
// The report's three live parts: cases, scene graphs, charts. Everything shown is put in as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const colour = (i) => `e${i % data.palette.length}`;
  const named = (method) => data.names[method] ?? method;
  const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** An element: its attributes ("on..." are listeners), and children that are elements or text. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  /** A button that chooses by being pointed at, focused or pressed alike. */
  function chooser(attributes, text, choose) {
    const options = { type: "button", "aria-pressed": "false", onpointerenter: choose, onfocus: choose, onclick: choose };
    return make("button", { ...options, ...attributes }, text);
  }

  /** A box [left, top, width, height] in shares of the picture, with a name on it. */
  function box(place, name, classes) {
    const element = make("div", { class: `box ${classes}` });
    ["left", "top", "width", "height"].forEach((side, i) => { element.style[side] = `${100 * place[i]}%`; });
    if (name) {
      const where = [place[1] < 0.09 ? "in" : "", place[0] > 0.6 ? "end" : ""].join(" ").trim();
      element.append(make("b", { class: where }, name));
    }
    return element;
  }

  function frame(example, alt) {
    const image = make("img", { src: example.image, alt });
    image.style.aspectRatio = example.size.join(" / ");
    const over = make("div", { "aria-hidden": "true" });
    return { element: make("div", { class: "frame" }, image, over), over };
  }

  /** The list of examples beside an open one: radio buttons, so that arrow keys move through it. */
  function viewer(root, name, examples, kinds, open) {
    if (!root) return;
    const stage = make("div", { class: "stage card" });
    if (examples.length === 1) {
      root.classList.add("alone");
      root.append(stage);
      open(stage, examples[0]);
      return;
    }
    const list = make("div", { class: "examples", role: "radiogroup", "aria-label": name });
    const entries = examples.map((example, i) => {
      const input = make("input", { type: "radio", name: root.id, onchange: () => open(stage, example) });
      const sign = example.good == null ? [] : [verdict(example.good), " "];
      const text = make("span", {}, ...sign, example.caption || `${i + 1}`);
      return make("label", {}, input, make("img", { src: example.image, alt: "", loading: "lazy", decoding: "async" }), text);
    });
    list.append(...entries);
    function filter(kind) {
      entries.forEach((entry, i) => { entry.hidden = !kinds[kind](examples[i]); entry.style.display = entry.hidden ? "none" : ""; });
      const first = entries.find((entry) => !entry.hidden);
      if (first) { first.control.checked = true; first.control.dispatchEvent(new Event("change")); }
    }
    const options = Object.keys(kinds).map((kind) => {
      const count = examples.filter(kinds[kind]).length;
      return make("option", { value: kind, disabled: !count }, `${kind} (${count})`);
    });
    const select = make("select", { "aria-label": `Which of the ${name.toLowerCase()}`, onchange: () => filter(select.value) }, ...options);
    const legend = make("legend", {}, `${examples.length} ${name.toLowerCase()}`);
    root.append(make("fieldset", { class: "picker" }, legend, ...(options.length > 1 ? [select] : []), list), stage);
    filter(Object.keys(kinds)[0]);
  }

  const verdict = (right) => make("span", { class: right ? "right" : "wrong" }, right ? "✓ right" : "✗ wrong");

  // Cases ------------------------------------------------------------------------------------------------------------

  function showCase(stage, example) {
    const buttons = [];
    const entity = (i) => {
      const button = chooser({ class: `entity ${colour(i)}`, "data-entity": i }, example.words[i], () => choose(i));
      buttons.push(button);
      return button;
    };
    const caption = make("p", { class: "caption" }, ...example.pieces.map(([text, i]) => (i == null ? text : entity(i))));
    const triplets = example.triplets.map(([s, predicate, o]) => make("li", {}, entity(s), ` ${predicate} `, entity(o)));
    const panels = casePanels(example);
    const sentence = make("p", { class: "unseen", "aria-live": "polite" });
    let chosen = -1;
    function choose(i) {
      if (i === chosen) return;
      chosen = i;
      for (const button of buttons) button.setAttribute("aria-pressed", String(Number(button.dataset.entity) === i));
      const lines = panels.map((panel) => panel.show(i)).filter(Boolean);
      sentence.textContent = example.words[i] === undefined ? "" : `${example.words[i]}: ${lines.join("; ")}.`;
    }
    stage.replaceChildren(
      caption,
      ...(triplets.length ? [make("ul", { class: "triplets", "aria-label": "Triplets" }, ...triplets)] : []),
      make("div", { class: "panels" }, ...panels.map((panel) => panel.element)),
      verdicts(example, entity),
      sentence,
    );
    if (example.words.length) choose(0);
  }

  /** The pictures of a case; each has show(entity), which redraws it and gives its message in words. */
  function casePanels(example) {
    const panels = [];
    const { targets } = example;
    function panel(title, alt, draw) {
      const { element, over } = frame(example, alt);
      const note = make("figcaption");
      const head = typeof title === "string" ? make("h4", {}, title) : make("h4", {}, title);
      const show = (i) => { over.replaceChildren(); note.replaceChildren(); return draw(i, over, note); };
      panels.push({ element: make("figure", {}, head, element, note), show });
    }
    const methods = Object.keys(example.answers);
    const order = methods.filter((m) => m !== "truth");
    const answer = (method) => (i, over, note) => {
      example.answers[method].forEach((place, k) => {
        if (place) over.append(box(place, example.words[k], `${colour(k)} ${k === i ? "" : "dim"} ${method === "truth" ? "truth" : ""}`));
      });
      const place = example.answers[method][i];
      if (method === "truth") return "";
      const judged = example.correct[method] && verdict(example.correct[method][i]);
      if (judged) note.append(judged);
      if (!place) note.append(" no box");
      if (!judged) return "";
      return `${named(method)} is ${example.correct[method][i] ? "right" : "wrong"}${place ? "" : ", it gives no box"}`;
    };
    if (methods.includes("truth")) panel("True boxes", "The picture with the true boxes", answer("truth"));
    if (targets.object) panel("Object-aware teacher", "Regions whose detected category is the word", shares("object", "the object-aware teacher"));
    if (example.maps) {
      panel("Grad-CAM map", "Heat map of the vision-language model's attention", (i, over, note) => {
        over.append(make("img", { class: "map", src: example.maps[i], alt: "" }));
        note.append("Where the vision-language model looks; warmer is more");
        return "";
      });
    }
    if (targets.interaction) panel("Interaction-aware teacher", "Regions by how much of the heat map they hold", shares("interaction", "the interaction-aware teacher"));
    if (targets.phrase) panel("Phrases, the third teacher", "Regions by how well they fit what the thing does", shares("phrase", "the teacher of phrases"));
    if (targets.fused) panel(targets.phrase ? "All, fused" : "Both, fused", "Regions by the fused target", shares("fused", "fused, they"));
    if (order.length) {
      let method = order[0];
      const options = order.map((m) => make("option", { value: m }, named(m)));
      const select = make("select", { "aria-label": "Whose answer" }, ...options);
      panel(order.length > 1 ? select : named(method), "The picture with the method's boxes", (i, over, note) => answer(method)(i, over, note));
      const last = panels.at(-1);
      let shown = 0;
      const show = last.show;
      last.show = (i) => { shown = i; return show(i); };
      select.addEventListener("change", () => { method = select.value; last.show(shown); });
    }
    return panels;

    function shares(name, who) {
      return (i, over, note) => {
        const row = targets[name][i];
        if (!row.length) {
          note.append("Silent: the detector found no such category");
          return `${who} is silent`;
        }
        const most = row[0][1], least = row.length > 4 ? row.at(-1)[1] : 0;
        row.slice(0, 4).reverse().forEach(([region, share], k, part) => {
          const element = box(example.regions[region], k === part.length - 1 ? share.toFixed(2) : "", colour(i));
          element.style.opacity = Math.max(0.15, (share - least) / Math.max(most - least, 1e-9));
          over.append(element);
        });
        const weights = name === "fused" && example.weights && example.weights[i];
        if (weights) {
          const bar = make("div", { class: "shares", "aria-hidden": "true" }, ...weights.map(() => make("i")));
          weights.forEach((w, k) => { bar.children[k].style.width = `${100 * w}%`; });
          const teachers = ["object-aware", "interaction-aware", "phrases"];
          note.append(bar, `${weights.map((w, k) => `${teachers[k]} ${w.toFixed(2)}`).join(", ")}: `);
        }
        const best = row.slice(0, 3).map(([region, share]) => `${example.labels[region]} ${share.toFixed(2)}`).join(", ");
        note.append(best, row.length > 3 ? ` and ${row.length - 3} more` : "");
        const trusted = weights ? ` (weights ${weights.map((w) => w.toFixed(2)).join(" and ")})` : "";
        return `${who} put ${best} on the regions${trusted}`;
      };
    }
  }

  function verdicts(example, entity) {
    const methods = Object.keys(example.correct);
    if (!methods.length) return make("div");
    const head = example.words.map((_, i) => make("th", { scope: "col" }, entity(i)));
    const rows = methods.map((method) =>
      make("tr", {}, make("th", { scope: "row" }, named(method)), ...example.correct[method].map((right) => make("td", {}, verdict(right)))));
    const caption = make("caption", {}, "Does the method's best region overlap the true box by IoU 0.5 or more?");
    const top = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Method"), ...head));
    return make("div", { class: "scroll" }, make("table", { class: "verdicts" }, caption, top, make("tbody", {}, ...rows)));
  }

  // Scene graphs -----------------------------------------------------------------------------------------------------

  let net = null;

  function showGraph(stage, example) {
    const { names, boxes, relations } = example;
    const { element, over } = frame(example, `The picture with boxes of ${names.join(", ") || "nothing"}`);
    const drawn = boxes.map((place, i) => box(place, names[i], colour(i)));
    drawn.forEach((b, i) => b.addEventListener("pointerenter", () => light([i], touching(i))));
    over.append(...drawn);
    const arrows = arrowsOver(example);
    element.append(arrows.element);
    const things = names.map((name, i) =>
      chooser({ class: `line` }, `${name} ${score(example.scores[i])}`, () => light([i], touching(i))));
    const lines = relations.map(([s, predicate, o, value], r) =>
      chooser({ class: "line" }, `${names[s]} ${predicate} ${names[o]} ${score(value)}`, () => light([s, o], [r])));
    const sentence = relations.map(([s, p, o]) => `${names[s]} ${p} ${names[o]}`).join("; ") || "no relation";
    const graph = make("div", { class: "net", role: "img", "aria-label": `Graph: ${sentence}` });
    const list = relations.length
      ? make("ol", {}, ...lines.map((line) => make("li", {}, line)))
      : make("p", { class: "quiet" }, "No relation was predicted.");
    stage.replaceChildren(
      make("p", { class: "caption" }, example.caption),
      make("div", { class: "pair" }, element, graph),
      make("div", { class: "lists" },
        make("div", {}, make("h4", {}, "Relations, best first"), list),
        make("div", {}, make("h4", {}, "Objects"), make("ul", {}, ...things.map((t) => make("li", {}, t))))),
    );
    stage.onpointerleave = () => light(null, []);
    net?.destroy();
    net = network(graph, example);
    net.on("mouseover tap", "node", (event) => { const i = Number(event.target.id().slice(1)); light([i], touching(i)); });
    net.on("mouseover tap", "edge", (event) => { const r = event.target.data("row"); light(relations[r].filter((_, k) => k % 2 === 0).slice(0, 2), [r]); });

    function touching(i) {
      return relations.flatMap(([s, , o], r) => (s === i || o === i ? [r] : []));
    }

    /** Light up objects and relations, and those objects' ends; null: everything is as bright again. */
    function light(objects, rows) {
      const ends = objects && new Set([...objects, ...rows.flatMap((r) => [relations[r][0], relations[r][2]])]);
      const on = (i) => !ends || ends.has(i);
      drawn.forEach((b, i) => b.classList.toggle("dim", !on(i)));
      things.forEach((t, i) => t.setAttribute("aria-pressed", String(Boolean(objects?.includes(i)))));
      lines.forEach((l, r) => l.setAttribute("aria-pressed", String(rows.includes(r))));
      arrows.show(rows);
      net.batch(() => {
        net.nodes().forEach((n) => { n.toggleClass("faint", !on(Number(n.id().slice(1)))); });
        net.edges().forEach((e) => { e.toggleClass("faint", Boolean(objects) && !rows.includes(e.data("row"))); });
      });
    }
  }

  const score = (value) => (value >= 0.1 ? value.toFixed(2) : value.toPrecision(1));

  /** Lit relations as arrows on the picture, from the middle of one box to that of the other. */
  function arrowsOver({ boxes, relations, size }) {
    const make = (tag, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      return element;
    };
    const side = Math.max(...size);
    const element = make("svg", { class: "arrows", viewBox: `0 0 ${size.join(" ")}`, "aria-hidden": "true" });
    const middle = ([x, y, w, h]) => [(x + w / 2) * size[0], (y + h / 2) * size[1]];
    function show(rows) {
      element.replaceChildren();
      for (const r of rows) {
        const [from, to] = [relations[r][0], relations[r][2]].map((i) => middle(boxes[i]));
        const angle = (Math.atan2(to[1] - from[1], to[0] - from[0]) * 180) / Math.PI;
        const tip = `translate(${to.join(" ")}) rotate(${angle}) scale(${side / 40})`;
        for (const [stroke, width] of [["white", side / 70], [data.palette[relations[r][0] % data.palette.length], side / 130]]) {
          element.append(make("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], stroke, "stroke-width": width }));
          element.append(make("path", { d: "M0 0L-1.6 .7V-.7Z", transform: tip, fill: stroke, stroke, "stroke-width": stroke === "white" ? 0.35 : 0 }));
        }
      }
    }
    return { element, show };
  }

  function network(container, { names, boxes, relations }) {
    const nodes = names.map((name, i) => ({
      data: { id: `n${i}`, name, colour: data.palette[i % data.palette.length] },
      position: { x: 400 * (boxes[i][0] + boxes[i][2] / 2), y: 400 * (boxes[i][1] + boxes[i][3] / 2) },
    }));
    const edges = relations.map(([s, name, o], row) => ({
      data: { source: `n${s}`, target: `n${o}`, name, row, colour: data.palette[s % data.palette.length] },
    }));
    const net = cytoscape({
      container,
      elements: { nodes, edges },
      style: netStyle(),
      // Objects start where they are in the picture, so that the graph resembles it and is the same every time.
      layout: { name: "cose", animate: false, randomize: false, padding: 28, nodeDimensionsIncludeLabels: true, idealEdgeLength: () => 90, nodeOverlap: 24 },
      maxZoom: 1.4, // few objects need not fill the frame
      userZoomingEnabled: false,
      userPanningEnabled: false,
      boxSelectionEnabled: false,
      autounselectify: true,
    });
    return net;
  }

  function netStyle() {
    const [ink, paper] = [theme("--ink"), theme("--paper")];
    const words = { color: ink, "font-size": 15, "text-background-color": paper, "text-background-opacity": 0.85, "text-background-padding": 2 };
    const drawn = { label: "data(name)", "min-zoomed-font-size": 6, ...words };
    return [
      { selector: "node", style: { ...drawn, "background-color": "data(colour)", width: 22, height: 22, "text-valign": "bottom", "text-margin-y": 4, "font-weight": 600 } },
      { selector: "edge", style: { ...drawn, "font-size": 13, width: 2.5, "curve-style": "bezier", "target-arrow-shape": "triangle", "line-color": "data(colour)", "target-arrow-color": "data(colour)" } },
      { selector: ".faint", style: { opacity: 0.2 } },
    ];
  }

  // Charts -----------------------------------------------------------------------------------------------------------

  const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const charts = [];

  function drawCharts() {
    if (!data.charts.length && !data.predicates) return; // the page of one example has no library for them
    for (const chart of charts.splice(0)) chart.destroy();
    Object.assign(Chart.defaults, { color: theme("--quiet"), borderColor: theme("--rule"), animation: false });
    Chart.defaults.font.family = "system-ui, sans-serif";
    const legend = { labels: { usePointStyle: true, pointStyle: "line", pointStyleWidth: 34 } };
    document.querySelectorAll("canvas.curve").forEach((canvas, c) => {
      const datasets = data.charts[c].lines.map(({ label, points }, i) => ({
        label, data: points.map(([x, y]) => ({ x, y })), borderColor: data.palette[i % data.palette.length],
        backgroundColor: data.palette[i % data.palette.length], borderDash: dashes[i % dashes.length],
        borderWidth: 2.5, pointRadius: points.length > 40 ? 0 : 2,
      }));
      const options = {
        maintainAspectRatio: false, parsing: false, interaction: { mode: "nearest", axis: "x", intersect: false }, plugins: { legend },
        scales: { x: { type: "linear", min: 0, max: 100, title: { display: true, text: "per cent of the training" } }, y: {} },
      };
      charts.push(new Chart(canvas, { type: "line", data: { datasets }, options }));
    });
    const bars = document.querySelector("canvas#predicates");
    if (!bars) return;
    const { names, counts, methods, k } = data.predicates;
    bars.parentElement.style.height = `${90 + names.length * (10 + 9 * methods.length)}px`;
    const datasets = methods.map(({ name, values }, i) => ({ label: name, data: values, backgroundColor: data.palette[i % data.palette.length] }));
    const scales = { x: { min: 0, title: { display: true, text: `recall at ${k}, per cent` } }, y: { ticks: { autoSkip: false } } };
    const options = { indexAxis: "y", maintainAspectRatio: false, scales, interaction: { mode: "index", axis: "y", intersect: false } };
    const labels = names.map((name, i) => `${name} (${counts[i]})`);
    charts.push(new Chart(bars, { type: "bar", data: { labels, datasets }, options }));
  }

  const all = { All: () => true };
  const judged = data.cases.some((example) => example.good != null);
  const kinds = judged ? { ...all, "Wholly right": (example) => example.good, "With a mistake": (example) => example.good === false } : all;
  viewer(document.getElementById("cases"), "Captions", data.cases, kinds, showCase);
  viewer(document.getElementById("graphs"), "Images", data.graphs, all, showGraph);
  drawCharts();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawCharts(); net?.style(netStyle()); });
})();
