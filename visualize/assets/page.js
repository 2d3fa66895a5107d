"use strict";
// Plays the steps of one recorded computation. All texts and numbers come from the JSON beside it; every one of them is
// set as text, never as markup.
(() => {
const $ = (id) => document.getElementById(id);
const { nodes, edges, steps, views, start, arrays, title } = JSON.parse($("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const root = document.documentElement, stage = $("stage");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const night = matchMedia("(prefers-color-scheme: dark)");
const state = { view: start, step: 0, selected: "", predict: false, shown: new Set(), timer: 0 };

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name === "click") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== "" && child != null));
  return element;
}

// -- when each number of a node is known ------------------------------------------------------------------------------

const valueAt = {}, gradientAt = {};
for (const [id, node] of Object.entries(nodes)) if (node.role !== "operation") valueAt[id] = 1;
steps.forEach((step, k) => {
  if (step.phase === "forward") valueAt[step.node] = k;
  if (step.phase === "seed") gradientAt[step.node] = [{ step: k, text: step.text || "", complete: true }];
  for (const share of step.shares || []) {
    (gradientAt[share.node] ||= []).push({ step: k, text: share.sum, complete: share.nth === share.of });
  }
});

const hides = () => state.predict && steps[state.step].phase === "backward" && !state.shown.has(state.step);

function valueKnown(id) {
  return state.step === 0 || (valueAt[id] ?? 1) <= state.step;
}

// What is known of a gradient now: undefined, or the last sum and whether it is complete.
function gradientKnown(id) {
  const arrivals = gradientAt[id] || [];
  if (state.step === 0) return state.predict ? undefined : arrivals.at(-1);
  const last = hides() ? state.step - 1 : state.step;
  return arrivals.filter((a) => a.step <= last).at(-1);
}

// -- views and camera -------------------------------------------------------------------------------------------------

const pictures = [...document.querySelectorAll("svg.view")].map((svg, k) => {
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const boxes = new Map([...svg.querySelectorAll("g.node")].map((g) => [g.dataset.box, g]));
  const members = new Map([...boxes.keys()].map((box) => [box, []]));
  for (const id of Object.keys(nodes)) members.get(views[k].place[id] || id)?.push(id);
  const lines = [...svg.querySelectorAll("g.edge")].map((g) => ({
    g, back: g.classList.contains("backward"), edges: g.dataset.edges ? g.dataset.edges.split(" ").map(Number) : [],
  }));
  for (const g of boxes.values()) {
    const { x, y, width: w, height: h } = g.frame = (g.querySelector("path, polygon") || g).getBBox();
    const halo = document.createElementNS(SVG, "rect");
    const place = { x: x - 4, y: y - 4, width: w + 8, height: h + 8, rx: 10, class: "halo" };
    for (const [name, value] of Object.entries(place)) halo.setAttribute(name, value);
    g.append(halo);
    g.texts = [...g.querySelectorAll("text.f-gradient")].map((text) => [text, text.textContent]);
  }
  return { svg, width, height, boxes, members, lines, camera: null, fitted: false };
});
const picture = () => pictures[state.view];
const boxOf = (id, k = state.view) => views[k].place[id] || id;

// Fonts differ from machine to machine: a text that is wider than where it was drawn to fit is condensed.
function condense(text, g) {
  text.removeAttribute("textLength");
  const box = text.getBBox(), others = [...g.querySelectorAll("text")].map((o) => o.getBBox());
  const right = Math.min(g.frame.x + g.frame.width - 5,
    ...others.filter((o) => o.x > box.x && Math.abs(o.y - box.y) < 6).map((o) => o.x - 2));
  if (box.x + box.width > right && right > box.x + 4) {
    text.setAttribute("textLength", right - box.x);
    text.setAttribute("lengthAdjust", "spacingAndGlyphs");
  }
}

function fit(p) {
  if (p.fitted) return;
  p.fitted = true;
  for (const g of p.boxes.values()) for (const text of g.querySelectorAll("text")) condense(text, g);
}

function look() {
  const p = picture(), c = p.camera;
  p.svg.setAttribute("viewBox", `${c.x} ${c.y} ${stage.clientWidth / c.scale} ${stage.clientHeight / c.scale}`);
}

function home(whole = false) {
  const p = picture(), w = stage.clientWidth, h = stage.clientHeight;
  const all = Math.min(w / p.width, h / p.height);
  const scale = whole ? all : Math.max(Math.min(w / p.width, 1.5), all, 0.8);
  const spare = w / scale - p.width;
  p.camera = { scale, wish: scale, x: spare > 0 ? -spare / 2 : 0, y: Math.min(0, (p.height - h / scale) / 2) };
  look();
}

function zoom(factor, at = [stage.clientWidth / 2, stage.clientHeight / 2]) {
  const c = picture().camera, scale = Math.min(8, Math.max(0.05, c.scale * factor));
  c.x += at[0] / c.scale - at[0] / scale;
  c.y += at[1] / c.scale - at[1] / scale;
  c.scale = c.wish = scale;
  look();
}

// Where boxes are, in the units of the view.
function extent(groups) {
  const frame = stage.getBoundingClientRect(), c = picture().camera;
  const all = groups.map((g) => g.getBoundingClientRect());
  const low = (f) => Math.min(...all.map(f)), high = (f) => Math.max(...all.map(f));
  return {
    left: c.x + (low((r) => r.left) - frame.left) / c.scale, right: c.x + (high((r) => r.right) - frame.left) / c.scale,
    top: c.y + (low((r) => r.top) - frame.top) / c.scale, bottom: c.y + (high((r) => r.bottom) - frame.top) / c.scale,
  };
}

let flight = 0;
function follow(groups) {
  const c = picture().camera;
  cancelAnimationFrame(flight);
  if (!groups.length || !stage.clientWidth) return;
  const e = extent(groups), W = stage.clientWidth, H = stage.clientHeight;
  // What belongs together is seen together: only then is the scale changed.
  const room = Math.min((0.9 * W) / (e.right - e.left), (0.8 * H) / (e.bottom - e.top));
  const from = { ...c }, goal = { ...c, scale: Math.max(Math.min(c.wish, room), Math.min(c.wish, 0.3)) };
  const w = W / goal.scale, h = H / goal.scale;
  if (goal.scale !== c.scale || e.left < c.x + 0.04 * w || e.right > c.x + 0.94 * w) goal.x = (e.left + e.right - w) / 2;
  if (goal.scale !== c.scale || e.top < c.y + 0.1 * h || e.bottom > c.y + 0.9 * h) goal.y = (e.top + e.bottom - h) / 2;
  if (goal.x === from.x && goal.y === from.y) return;
  const begin = performance.now();
  const move = (now) => {
    const t = still.matches ? 1 : Math.min(1, (now - begin) / 350), s = t * t * (3 - 2 * t);
    for (const name of ["scale", "x", "y"]) c[name] = from[name] + (goal[name] - from[name]) * s;
    look();
    if (t < 1) flight = requestAnimationFrame(move);
  };
  move(begin);
}

// -- the picture at a step --------------------------------------------------------------------------------------------

function paint() {
  const p = picture(), step = steps[state.step], hidden = hides();
  const receiving = new Set((step.shares || []).map((share) => boxOf(share.node)));
  const lit = new Set(step.edges || []);
  const back = step.phase === "backward" || step.phase === "seed";
  p.svg.classList.toggle("back", back);
  for (const [box, g] of p.boxes) {
    const ids = p.members.get(box);
    const inside = box in views[state.view].modules || ids.length !== 1;
    const active = step.node !== undefined && boxOf(step.node) === box;
    const known = ids.map(gradientKnown);
    const wanted = ids.filter((id) => gradientAt[id] && (!inside || nodes[id].role === "param"));
    const grown = inside ? wanted.every((id) => gradientKnown(id)?.complete) : known[0] !== undefined;
    g.classList.toggle("pending", !ids.some(valueKnown));
    g.classList.toggle("novalue", !ids.every(valueKnown));
    g.classList.toggle("nogradient", !(grown || (!inside && !gradientAt[ids[0]] && state.step === 0)));
    g.classList.toggle("active", active);
    g.classList.toggle("receiving", receiving.has(box) && !active);
    g.classList.toggle("selected", state.selected === box);
    for (const [text, whole] of g.texts) {
      const part = !inside && known[0] && !known[0].complete;
      const now = part ? `${known[0].text} ⊕…` : whole;
      if (now === text.textContent) continue;
      text.textContent = now;
      condense(text, g);
    }
  }
  const reached = (k) => {
    const at = steps.findIndex((s) => s.phase === "forward" && s.node === edges[k][1]);
    return at < 0 || at <= state.step;
  };
  const carried = new Set(steps.slice(0, state.step + 1).flatMap((s) => (s.shares || []).map((x) => x.edge)));
  for (const { g, back: gradient, edges: places } of p.lines) {
    const now = places.some((k) => lit.has(k)) && gradient === back;
    const done = state.step === 0 || places.some((k) => (gradient ? carried.has(k) : reached(k)));
    g.classList.toggle("lit", now);
    g.classList.toggle("unlit", !done && !now);
  }
  badges(p, step, hidden);
}

// What flows, written on the edges where it flows, and moving along them.
let motion = 0;
function badges(p, step, hidden) {
  cancelAnimationFrame(motion);
  document.querySelectorAll(".badge").forEach((badge) => badge.remove());
  const layer = p.svg.querySelector("g.graph"), moving = [];
  const taken = [...p.boxes.values()].map((g) => g.frame);
  for (const label of p.svg.querySelectorAll("g.edge text")) taken.push(label.getBBox());
  for (const share of step.shares || []) {
    const line = p.lines.find((l) => l.back && l.edges.includes(share.edge));
    const path = line?.g.querySelector("path");
    if (!path) continue;
    const badge = document.createElementNS(SVG, "g"), box = document.createElementNS(SVG, "rect");
    const text = document.createElementNS(SVG, "text");
    badge.setAttribute("class", "badge");
    text.textContent = hidden ? "?" : share.of > 1 ? `+ ${share.text}` : share.text;
    badge.append(box, text);
    layer.append(badge);
    const size = text.getBBox();
    const sizes = { x: size.x - 5, y: size.y - 2, width: size.width + 10, height: size.height + 4, rx: 5 };
    for (const [name, value] of Object.entries(sizes)) box.setAttribute(name, value);
    const length = path.getTotalLength(), a = path.getPointAtLength(0), b = path.getPointAtLength(length);
    const target = p.boxes.get(boxOf(edges[share.edge][1]))?.getBBox();
    const from = target && distance(target, a) > distance(target, b) ? length : 0;
    const middle = path.getPointAtLength(length / 2), shift = beside(middle, size, taken);
    taken.push({ x: middle.x + shift.x - 5, y: middle.y + shift.y + size.y - 2, width: size.width + 10, height: size.height + 4 });
    moving.push((t) => {
      const at = path.getPointAtLength(from + (length / 2 - from) * t);
      badge.setAttribute("transform", `translate(${(at.x + shift.x).toFixed(1)} ${(at.y + shift.y).toFixed(1)})`);
    });
  }
  const begin = performance.now();
  const run = (now) => {
    const t = still.matches ? 1 : Math.max(0, Math.min(1, (now - begin) / 550));
    for (const move of moving) move(t * (2 - t));
    if (t < 1 && moving.length) motion = requestAnimationFrame(run);
  };
  run(begin);
}

// Where a text of this size, at a point, covers least of what is there already: right, left, above or below.
function beside(point, size, taken) {
  const { width: w, height: h, y } = size;
  const places = [[9, 4], [-w - 9, 4], [-w / 2, -14 - y - h], [-w / 2, 14 - y], [12, -10 - y - h], [12, 10 - y],
    [-w - 12, -10 - y - h], [-w - 12, 10 - y], [-w / 2, 4]].map(([dx, dy]) => ({ x: dx, y: dy }));
  const covered = (at) => taken.reduce((sum, o) => {
    const left = point.x + at.x - 6, top = point.y + at.y + y - 3;
    const across = Math.min(left + w + 12, o.x + o.width) - Math.max(left, o.x);
    const down = Math.min(top + h + 6, o.y + o.height) - Math.max(top, o.y);
    return sum + Math.max(0, across) * Math.max(0, down);
  }, 0);
  return places.reduce((best, at) => (covered(at) < covered(best) - 1 ? at : best));
}

function distance(box, point) {
  const x = Math.max(box.x - point.x, 0, point.x - box.x - box.width);
  const y = Math.max(box.y - point.y, 0, point.y - box.y - box.height);
  return Math.hypot(x, y);
}

// -- arrays -----------------------------------------------------------------------------------------------------------

function short(x) {
  if (typeof x === "string") return x;
  const size = Math.abs(x);
  const text = Number.isInteger(x) && size < 1e6 ? String(x)
    : size >= 1e5 || size < 5e-4 ? x.toExponential(1) : x.toFixed(Math.max(0, 3 - Math.max(0, Math.floor(Math.log10(size)))));
  return text.replace("-", "−");
}

function colour(x, largest) {
  const share = largest ? Math.abs(x) / largest : 0;
  const hue = x < 0 ? "--backward" : "--parameter-line";
  return `color-mix(in srgb, var(${hue}) ${Math.round(42 * share)}%, var(--paper))`;
}

function place(k, shape) {
  const index = [];
  for (const n of [...shape].reverse()) { index.unshift(k % n); k = Math.floor(k / n); }
  return `[${index.join(", ")}]`;
}

// A heat map: blue above zero, orange below, every number in its cell or, of a large array, under the pointer.
function heat(index, label) {
  if (index < 0) return make("p", { class: "quiet" }, "The numbers were not kept.");
  const { shape, dtype, data, stats } = arrays[index];
  const total = shape.reduce((a, b) => a * b, 1), columns = shape.length ? shape.at(-1) || 1 : 1;
  if (!total) return make("p", { class: "quiet" }, `Empty, shape (${shape.join(", ")}).`);
  const largest = Math.max(...data.filter((x) => typeof x === "number").map(Math.abs), 0);
  const box = make("div", { class: "array", "data-array": index });
  const rows = Math.ceil(data.length / columns);
  const table = () => {
    const body = make("tbody");
    for (let r = 0; r < rows; r++) {
      const line = make("tr", {}, shape.length > 1 ? make("th", { scope: "row" }, place(r, shape.slice(0, -1))) : "");
      for (const x of data.slice(r * columns, (r + 1) * columns)) {
        const cell = make("td", { title: String(x), ...(typeof x === "string" ? { class: "bad" } : {}) }, short(x));
        if (typeof x === "number" && dtype !== "int64") cell.style.background = colour(x, largest);
        line.append(cell);
      }
      body.append(line);
    }
    return make("div", { class: "heat", tabindex: "0", role: "region", "aria-label": `${label}, ${total} numbers` },
      make("table", { "aria-label": label }, body));
  };
  if (data.length <= 200 && columns <= 32) box.append(table());
  else box.append(canvas(data, shape, rows, columns, largest, label), fold(`All ${data.length} numbers shown`, table));
  if (data.length < total) box.append(make("p", { class: "quiet" }, `The first ${data.length} of ${total} numbers.`));
  if (stats && total > 4) {
    const [low, high, mean, std, norm] = stats.map(short);
    box.append(make("p", { class: "worked" }, `${low} … ${high}, mean ${mean} ± ${std}, norm ${norm}`));
  }
  return box;
}

function fold(name, content) {
  const box = make("details", {}, make("summary", {}, name));
  box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(content()); });
  return box;
}

function canvas(data, shape, rows, columns, largest, label) {
  const wide = Math.min(columns, data.length), size = Math.max(1, Math.min(18, Math.floor(330 / wide)));
  const area = make("canvas", { width: wide, height: rows, role: "img", "aria-label": `Heat map of ${label}` });
  area.style.width = `${wide * size}px`;
  area.style.height = `${rows * size}px`;
  const readout = make("p", { class: "readout" }, "Point at a cell to read it.");
  const draw = area.getContext("2d"), image = draw.createImageData(wide, rows), style = getComputedStyle(root);
  const parse = (name) => style.getPropertyValue(name).trim().match(/[0-9a-f]{2}/gi).map((h) => parseInt(h, 16));
  const paper = parse("--paper"), above = parse("--parameter-line"), below = parse("--backward"), bad = parse("--bad-tint");
  data.forEach((x, k) => {
    const share = typeof x === "number" && largest ? Math.abs(x) / largest : 1;
    const hue = typeof x === "string" ? bad : x < 0 ? below : above;
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = paper[c] + (hue[c] - paper[c]) * (x === 0 ? 0 : share);
    image.data[4 * k + 3] = 255;
  });
  draw.putImageData(image, 0, 0);
  area.addEventListener("pointermove", (event) => {
    const k = Math.floor(event.offsetY / area.clientHeight * rows) * wide
      + Math.min(wide - 1, Math.floor(event.offsetX / area.clientWidth * wide));
    if (k >= 0 && k < data.length) readout.textContent = `${place(k, shape)} = ${data[k]}`;
  });
  return make("div", { class: "heat" }, area, readout);
}

// -- the panel --------------------------------------------------------------------------------------------------------

const PHASES = { whole: ["quiet", "overview"], given: ["quiet", "given"], forward: ["forward", "forward"],
  seed: ["backward", "backward"], backward: ["backward", "backward"], done: ["quiet", "done"] };

function card() {
  const step = steps[state.step], hidden = hides(), [kind, phase] = PHASES[step.phase];
  const parts = [make("span", { class: `chip ${kind}` }, phase), make("h2", {}, step.title)];
  if (step.formula) parts.push(make("p", { class: "formula" }, step.formula));
  if (step.worked) parts.push(make("p", { class: "worked" }, step.worked));
  if (step.phase === "forward") parts.push(make("h3", {}, "Result"), heat(step.array, "Result"));
  if (step.phase === "seed") parts.push(make("h3", {}, "Gradient to begin with"), heat(step.array, "Gradient"));
  if (step.phase === "backward") {
    parts.push(make("h3", {}, "Arrives: upstream gradient"), heat(step.array, "Upstream gradient"));
    parts.push(make("h3", {}, "Goes on: local derivative × upstream"));
    for (const share of step.shares || []) parts.push(shareCard(share, hidden));
    if (hidden) parts.push(make("button", { type: "button", id: "reveal", click: reveal, title: "Reveal  R" }, "Reveal"));
  }
  if (step.phase === "whole" || step.phase === "done") parts.push(...overview(step.phase === "done"));
  if (step.phase === "given") parts.push(make("p", { class: "quiet" }, "Inputs and parameters have values before any operation runs. Click one to see it."));
  if (step.note && !hidden) parts.push(make("p", { class: "note" }, step.note));
  $("card").replaceChildren(...parts);
}

function shareCard(share, hidden) {
  const box = make("div", { class: "share", "data-node": share.node, "data-edge": share.edge },
    make("p", {}, "to ", make("strong", {}, share.name)));
  if (share.formula) box.append(make("p", { class: "formula" }, share.formula));
  if (hidden) {
    box.append(make("p", { class: "number" }, "?"));
    return box;
  }
  if (share.worked) box.append(make("p", { class: "worked" }, share.worked));
  box.append(heat(share.array, `Share for ${share.name}`));
  if (share.of > 1) {
    const now = share.nth === share.of ? "in all" : `so far, ${share.nth} of ${share.of} paths`;
    box.append(make("p", { class: "sum" }, `⊕ ${share.sum} ${now}`), heat(share.total, `Sum at ${share.name}`));
  }
  return box;
}

function overview(done) {
  const list = Object.entries(nodes).filter(([, n]) => n.role === "param");
  if (!list.length) return [];
  const hidden = state.predict && !done;
  return [make("h3", {}, "Parameters"), make("dl", {}, ...list.flatMap(([id, n]) => [
    make("dt", {}, link(id, n.name)), make("dd", {}, n.shape, " ", hidden ? "" : make("span", { class: "number" }, (gradientAt[id] || []).at(-1)?.text || ""))]))];
}

function link(id, text) {
  return make("button", { type: "button", class: "link", click: () => select(boxOf(id), true) }, text);
}

function detail() {
  const box = state.selected, p = picture();
  if (!p.boxes.has(box)) return $("detail").replaceChildren();
  const ids = p.members.get(box), name = views[state.view].modules[box];
  if (name !== undefined || ids.length !== 1) return moduleDetail(box, ids, name);
  const id = ids[0], n = nodes[id], known = gradientKnown(id);
  const parts = [make("span", { class: "chip quiet" }, n.role)];
  if (n.kept.length) parts.push(make("span", { class: "chip kept" }, "◆ kept for backward"));
  parts.push(make("h2", {}, n.role === "operation" && n.name !== n.title ? `${n.title}: ${n.name}` : n.name));
  const facts = [["Formula", n.formula], ["Shape", n.shape], ["Type", n.dtype], ["Module", n.path],
    ["Options", n.details], ["Made at", n.where]];
  parts.push(make("dl", {}, ...facts.filter(([, text]) => text).flatMap(([a, b]) => [make("dt", {}, a), make("dd", {}, b)])));
  if (n.line) parts.push(make("code", { tabindex: "0", "aria-label": "Line of code" }, n.line));
  else if (n.role === "operation" && !n.where) parts.push(make("p", { class: "quiet" }, "Record under autograd.keep_values() to see the line of code."));
  if (n.kept.length) parts.push(make("h3", {}, "◆ Why it is kept for backward"),
    make("ul", { class: "plain" }, ...n.kept.map((text) => make("li", {}, text))));
  if (n.note) parts.push(make("p", { class: "note" }, n.note[0].toUpperCase() + n.note.slice(1) + "."));
  if (!n.plain) {
    parts.push(make("h3", {}, "Value"), n.value < 0 ? make("p", { class: "quiet" }, "Not kept: record under autograd.keep_values().")
      : valueKnown(id) ? heat(n.value, "Value") : make("p", { class: "quiet" }, "Not computed yet at this step."));
    parts.push(make("h3", {}, "Gradient"));
    if (n.grad < 0) parts.push(make("p", { class: "quiet" }, n.state || "none"));
    else if (known?.complete || (!gradientAt[id] && state.step === 0)) parts.push(heat(n.grad, "Gradient"));
    else parts.push(make("p", { class: "quiet" }, hides() || state.predict && state.step === 0 ? "Hidden until you reveal it." : "Not complete at this step."));
    parts.push(...arrivals(id));
  }
  $("detail").replaceChildren(...parts);
}

// The shares that add up to a gradient, as far as they have arrived.
function arrivals(id) {
  const last = state.step === 0 ? (state.predict ? -1 : steps.length) : hides() ? state.step - 1 : state.step;
  const found = steps.slice(0, last + 1).flatMap((s, k) => (s.shares || []).filter((x) => x.node === id).map((x) => [k, x]));
  if (!found.length || found[0][1].of < 2) return [];
  return [make("h3", {}, "⊕ Added up from"), make("ul", { class: "plain" }, ...found.map(([k, share]) =>
    make("li", {}, make("span", { class: "number" }, share.text), " ", make("button", { type: "button", class: "link", click: () => { pause(); go(k); } },
      `step ${k}: ${nodes[edges[share.edge][1]].title}`), ` ⊕ ${share.sum}`)))];
}

function moduleDetail(box, ids, name) {
  const inside = ids.filter((id) => nodes[id].role === "param");
  const parts = [make("span", { class: "chip quiet" }, name === undefined ? "not drawn" : "module"), make("h2", {}, name ?? `${ids.length} nodes`)];
  if (name !== undefined) parts.push(make("button", { type: "button", click: () => open(box) }, "Open"));
  if (inside.length) parts.push(make("h3", {}, "Parameters"), make("dl", {}, ...inside.flatMap((id) => [
    make("dt", {}, nodes[id].name), make("dd", {}, nodes[id].shape, " ", make("span", { class: "number" }, gradientKnown(id)?.text || ""))])));
  parts.push(make("h3", {}, "Inside"), make("ul", { class: "plain" }, ...ids.slice(0, 40).map((id) => make("li", {}, nodes[id].name))));
  $("detail").replaceChildren(...parts);
}

// -- moving through it ------------------------------------------------------------------------------------------------

function go(k, quiet = false) {
  state.step = Math.max(0, Math.min(steps.length - 1, k));
  const step = steps[state.step];
  paint();
  card();
  detail();
  $("scrub").value = state.step;
  $("scrub").setAttribute("aria-valuetext", `${state.step} of ${steps.length - 1}, ${step.title}`);
  $("count").textContent = `${state.step} / ${steps.length - 1}`;
  for (const id of ["first", "back"]) $(id).disabled = state.step === 0;
  for (const id of ["next", "last"]) $(id).disabled = state.step === steps.length - 1;
  const asked = (step.shares || []).map((share) => share.name).join(" and ");
  $("say").textContent = hides() && asked ? `${step.title}: what does ${asked} receive? Predict it, then reveal.` : step.say;
  // A page inside a notebook has no address of its own.
  if (!quiet && location.protocol !== "about:") history.replaceState(null, "", `#step=${state.step}`);
  const groups = [step.node, ...(step.shares || []).map((share) => share.node)].filter(Boolean).map((id) => picture().boxes.get(boxOf(id)));
  follow([...new Set(groups.filter(Boolean))]);
  $("panel").scrollTop = 0;
}

function reveal() {
  if (!hides()) return;
  state.shown.add(state.step);
  go(state.step);
  $("next").focus();
}

function pause() {
  clearTimeout(state.timer);
  state.timer = 0;
  document.body.classList.remove("playing");
  $("play").setAttribute("aria-label", "Play");
}

function play() {
  if (state.timer) return pause();
  if (state.step === steps.length - 1) go(0);
  document.body.classList.add("playing");
  $("play").setAttribute("aria-label", "Pause");
  const tick = () => {
    if (hides()) return pause();
    go(state.step + 1);
    if (state.step === steps.length - 1) return pause();
    state.timer = setTimeout(tick, 1800 / Number($("speed").value));
  };
  state.timer = setTimeout(tick, 120);
}

function show(k) {
  pictures.forEach(({ svg }, i) => {
    svg.classList.toggle("current", i === k);
    svg.setAttribute("aria-hidden", String(i !== k));
  });
  // What was selected stays so, as the box that holds it in the new view.
  const chosen = picture().members.get(state.selected)?.[0];
  state.view = k;
  if (chosen) state.selected = boxOf(chosen);
  [...$("depth").children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === k)));
  fit(picture());
  if (!picture().camera) home();
  look();
  go(state.step, true);
}

function open(box) {
  const id = picture().members.get(box)[0];
  for (let k = state.view + 1; k < views.length; k++) {
    if (boxOf(id, k) !== box) {
      show(k);
      return follow([...new Set([...picture().members].filter(([, ids]) => ids.includes(id)).map(([b]) => picture().boxes.get(b)))]);
    }
  }
}

function select(box, centre = false) {
  state.selected = box;
  paint();
  detail();
  if (!box) return;
  if (centre) follow([picture().boxes.get(box)].filter(Boolean));
  $("detail").scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
}

function search() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = words.length ? Object.entries(nodes).filter(([, n]) => {
    const text = [n.name, n.title, n.formula, n.path, n.role, n.where || "", n.line || ""].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  }) : [];
  // A node that is called so comes before one that only lies in such a module or line of code.
  const called = ([, n]) => Number(words.every((word) => `${n.name} ${n.title} ${n.formula}`.toLowerCase().includes(word)));
  hits.sort((a, b) => called(b) - called(a));
  const boxes = new Set(hits.map(([id]) => boxOf(id)));
  for (const [box, g] of picture().boxes) g.classList.toggle("match", boxes.has(box));
  $("found").hidden = !words.length;
  $("found").replaceChildren(...(hits.length ? hits.slice(0, 30).map(([id, n]) => make("li", {}, make("button", { type: "button",
    click: () => { select(boxOf(id), true); $("found").hidden = true; } }, n.name === n.title ? "" : n.title + " ", make("strong", {}, n.name), make("small", {}, [n.role, n.path].filter(Boolean).join(", ")))))
    : [make("li", { class: "none", role: "status" }, "No node has these words.")]));
}

// -- files ------------------------------------------------------------------------------------------------------------

function download(name, blob) {
  const anchor = make("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
}

const file = (suffix) => `${title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "graph"}.${suffix}`;

// The current view as a file of its own: every class becomes the colour it has now.
function svgText() {
  const p = picture(), copy = p.svg.cloneNode(true), style = getComputedStyle(root);
  const colourOf = (name) => style.getPropertyValue(`--${name}`).trim();
  copy.removeAttribute("class");
  copy.removeAttribute("aria-hidden");
  copy.setAttribute("viewBox", `0 0 ${p.width} ${p.height}`);
  copy.setAttribute("width", p.width);
  copy.setAttribute("height", p.height);
  copy.setAttribute("font-family", "Helvetica,Arial,DejaVu Sans,sans-serif");
  for (const e of copy.querySelectorAll(".halo")) e.remove();
  for (const e of copy.querySelectorAll(".novalue .f-value, .nogradient .f-gradient")) e.setAttribute("visibility", "hidden");
  for (const e of copy.querySelectorAll("[class*=f-], [class*=s-]")) {
    for (const kind of e.classList) {
      if (kind.startsWith("f-")) e.setAttribute("fill", colourOf(kind.slice(2)));
      if (kind.startsWith("s-")) e.setAttribute("stroke", colourOf(kind.slice(2)));
    }
  }
  for (const e of copy.querySelectorAll(".pending")) e.setAttribute("opacity", "0.3");
  for (const e of copy.querySelectorAll(".unlit")) e.setAttribute("opacity", "0.13");
  for (const e of copy.querySelectorAll(".badge rect")) { e.setAttribute("fill", colourOf("paper")); e.setAttribute("stroke", colourOf("backward")); }
  for (const e of copy.querySelectorAll(".badge text")) { e.setAttribute("fill", colourOf("gradient")); e.setAttribute("font-size", "10"); }
  const paper = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ width: p.width, height: p.height, fill: colourOf("background") })) paper.setAttribute(name, value);
  copy.prepend(paper);
  return new XMLSerializer().serializeToString(copy);
}

function png() {
  const p = picture(), image = new Image();
  const scale = Math.min(2, 16000 / Math.max(p.width, p.height));
  image.onload = () => {
    const area = make("canvas", { width: Math.round(p.width * scale), height: Math.round(p.height * scale) });
    area.getContext("2d").drawImage(image, 0, 0, area.width, area.height);
    URL.revokeObjectURL(image.src);
    area.toBlob((blob) => download(file("png"), blob), "image/png");
  };
  image.src = URL.createObjectURL(new Blob([svgText()], { type: "image/svg+xml" }));
}

// -- everything that can be pressed -----------------------------------------------------------------------------------

const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : night.matches);
function nameTheme() { $("theme").textContent = dark() ? "Light" : "Dark"; }

function fromHash() {
  const match = /(?:^#|&)step=(\d+)/.exec(location.hash);
  return match ? Number(match[1]) : 0;
}

views.forEach((view, k) => $("depth").append(make("button", { type: "button", title: view.about, click: () => show(k) }, view.label)));
$("depth").hidden = views.length < 2;
const kinds = steps.map((step) => PHASES[step.phase][0]);
for (const step of kinds.slice(1)) {
  const tick = make("i", { class: step });
  tick.style.flex = "1";
  $("ticks").append(tick);
}
$("scrub").max = steps.length - 1;
const on = (id, event, run) => $(id).addEventListener(event, run);
on("first", "click", () => { pause(); go(0); });
on("back", "click", () => { pause(); go(state.step - 1); });
on("play", "click", play);
on("next", "click", () => { pause(); go(state.step + 1); });
on("last", "click", () => { pause(); go(steps.length - 1); });
on("scrub", "input", () => { pause(); go(Number($("scrub").value)); });
on("zoom-in", "click", () => zoom(1.25));
on("zoom-out", "click", () => zoom(0.8));
on("zoom-fit", "click", () => home(true));
on("search", "input", search);
on("search", "keydown", (event) => {
  if (event.key === "Enter") $("found").querySelector("button")?.click();
  if (event.key === "ArrowDown") $("found").querySelector("button")?.focus();
  if (event.key === "Escape") { $("search").value = ""; search(); }
});
on("found", "keydown", (event) => {
  const item = event.target.closest("li"), to = event.key === "ArrowDown" ? item.nextSibling : event.key === "ArrowUp" ? item.previousSibling : null;
  if (event.key === "Escape") { $("search").focus(); $("found").hidden = true; }
  if (to) to.querySelector("button").focus();
  if (event.key.startsWith("Arrow")) event.preventDefault();
  event.stopPropagation();
});
on("predict", "click", () => {
  state.predict = !state.predict;
  state.shown.clear();
  $("predict").setAttribute("aria-pressed", String(state.predict));
  go(state.step);
});
on("theme", "click", () => { root.dataset.theme = dark() ? "light" : "dark"; nameTheme(); card(); detail(); });
night.addEventListener("change", () => { nameTheme(); card(); detail(); });
on("save-svg", "click", () => download(file("svg"), new Blob([svgText()], { type: "image/svg+xml" })));
on("save-png", "click", png);
on("save-dot", "click", () => download(file("dot"), new Blob([views[state.view].dot], { type: "text/vnd.graphviz" })));
on("print", "click", () => window.print());
// A page inside a notebook has no address that could be given away.
$("link").hidden = location.protocol === "about:";
on("link", "click", () => {
  const area = make("textarea", { "aria-hidden": "true" });
  area.value = `${location.href.split("#")[0]}#step=${state.step}`;
  document.body.append(area);
  area.select();
  // The older way on purpose: it works from a file, without asking for a permission.
  const copied = document.execCommand("copy");
  area.remove();
  $("link").focus();
  $("link").textContent = copied ? "Copied" : "Failed";
  setTimeout(() => { $("link").textContent = "Link"; }, 1500);
});

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const frame = stage.getBoundingClientRect(), c = picture().camera;
  if (event.ctrlKey || event.metaKey) return zoom(Math.exp(-event.deltaY / 300), [event.clientX - frame.left, event.clientY - frame.top]);
  const step = event.deltaMode === 1 ? 20 : 1;
  c.x += (event.shiftKey ? event.deltaY : event.deltaX) * step / c.scale;
  c.y += (event.shiftKey ? 0 : event.deltaY) * step / c.scale;
  look();
}, { passive: false });

const touches = new Map();
let dragged = false;
stage.addEventListener("pointerdown", (event) => {
  if (event.target.closest("button")) return;
  touches.set(event.pointerId, [event.clientX, event.clientY]);
  if (touches.size === 1) dragged = false;
});
addEventListener("pointermove", (event) => {
  const before = touches.get(event.pointerId);
  if (!before) return;
  const c = picture().camera, here = [event.clientX, event.clientY];
  if (!dragged && Math.hypot(here[0] - before[0], here[1] - before[1]) < 4) return;
  dragged = true;
  stage.classList.add("moving");
  if (touches.size === 2) {
    const other = [...touches].find(([id]) => id !== event.pointerId)[1], frame = stage.getBoundingClientRect();
    const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]) || 1;
    zoom(apart(here) / apart(before), [other[0] - frame.left, other[1] - frame.top]);
  } else {
    c.x -= (here[0] - before[0]) / c.scale;
    c.y -= (here[1] - before[1]) / c.scale;
    look();
  }
  touches.set(event.pointerId, here);
});
for (const name of ["pointerup", "pointercancel"]) {
  addEventListener(name, (event) => { touches.delete(event.pointerId); stage.classList.remove("moving"); });
}
stage.addEventListener("click", (event) => {
  if (dragged || event.target.closest("button")) return;
  select(event.target.closest("g.node")?.dataset.box || "");
});
stage.addEventListener("dblclick", (event) => {
  const box = event.target.closest("g.node")?.dataset.box;
  if (box in views[state.view].modules) open(box);
});
stage.addEventListener("focusin", (event) => {
  const g = event.target.closest("g.node");
  if (g && g.matches(":focus-visible")) follow([g]);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const pressed = event.key, node = event.target.closest("g.node"), button = event.target.closest("button, summary");
  if ((button || node) && (pressed === " " || pressed === "Enter")) {
    if (!node) return;
    event.preventDefault();
    const box = node.dataset.box;
    return box in views[state.view].modules && state.selected === box ? open(box) : select(box);
  }
  const run = {
    ArrowRight: () => { pause(); go(state.step + 1); }, ArrowLeft: () => { pause(); go(state.step - 1); },
    Home: () => { pause(); go(0); }, End: () => { pause(); go(steps.length - 1); }, " ": play,
    r: reveal, "/": () => $("search").focus(), "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8),
    0: () => home(true), Escape: () => select(""),
  }[pressed];
  if (!run) return;
  event.preventDefault();
  run();
});
document.addEventListener("click", (event) => {
  if (!event.target.closest(".search")) $("found").hidden = true;
  if (!event.target.closest("#save") || event.target.closest("#save div")) $("save").open = false;
});
addEventListener("hashchange", () => { pause(); go(fromHash(), true); });
addEventListener("resize", look);
addEventListener("beforeprint", () => picture().svg.setAttribute("viewBox", `0 0 ${picture().width} ${picture().height}`));
addEventListener("afterprint", look);

nameTheme();
state.step = Math.min(fromHash(), steps.length - 1);
show(state.view);
})();
