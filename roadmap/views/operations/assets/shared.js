/* What all operations share: elements, controls, numbers. No build step and no library. */
const SVG = "http://www.w3.org/2000/svg";
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

const fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(9).filter((child) => child !== null));
  return element;
};
/* HTML and SVG elements; text becomes text nodes, so nothing needs escaping. */
const h = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

const minus = (text) => String(text).replace("-", "−");
const whole = (value) => minus(Math.round(value).toLocaleString("en-US"));
const fixed = (value, digits = 2) => minus(value.toFixed(digits));
const millions = (value) => `${fixed(value / 1e6, value < 1e7 ? 2 : 1)} M`;
const giga = (value) => `${fixed(value / 1e9, 2)} GFLOPs`;
const range = (count) => [...Array(count).keys()];
const percent = (share) => `${Math.round(100 * share)}%`;

let names = 0;
/* Options side by side; arrow keys change them, as in every group of radio buttons. */
const radios = (title, options, chosen, onChange) => {
  const group = `operation-${(names += 1)}`;
  return h("fieldset", { class: "radios" }, h("legend", {}, title),
    h("div", {}, options.map((text, place) => h("label", {},
      h("input", { type: "radio", name: group, value: place,
        ...(place === chosen ? { checked: "" } : {}), onchange: () => onChange(place) }),
      h("span", {}, text)))));
};
const slider = (title, most, value, said, onChange) => {
  const output = h("output", {}, said(value));
  const input = h("input", { type: "range", min: 0, max: most, step: 1, value,
    "aria-valuetext": said(value) });
  const show = (place) => {
    input.value = place;
    output.textContent = said(place);
    input.setAttribute("aria-valuetext", said(place));
  };
  input.addEventListener("input", () => { show(+input.value); onChange(+input.value); });
  return { element: h("label", { class: "slider" }, h("span", {}, title), input, output), show };
};
const button = (text, onClick) => h("button", { type: "button", onclick: onClick }, text);
const toggle = (text, on, onChange) => h("label", { class: "toggle" },
  h("input", { type: "checkbox", ...(on ? { checked: "" } : {}),
    onchange: ({ target }) => onChange(target.checked) }), h("span", {}, text));

/* One figure under its name; ``data-figure`` names it for tests. */
const figure = (name, title) => {
  const value = h("b", { "data-figure": name });
  return { element: h("div", { class: "figure" }, h("span", {}, title), value), value };
};
/* Horizontal bars: {name, value, said, color, mark}. */
const bars = (rows, largest) => h("div", { class: "bars" }, rows.map((row) =>
  h("div", { class: `bar ${row.now ? "now" : ""}` }, h("span", {}, row.name),
    h("i", {}, h("u", { style: `width:${100 * row.value / largest}%;background:${row.color}` })),
    h("b", {}, row.said))));

/* A square sheet of values; ``shade`` gives a cell's opacity, ``text`` its number. */
const sheet = (x, y, values, cell, color, options = {}) => {
  const flat = values.flat(), low = Math.min(...flat), high = Math.max(...flat);
  const most = options.numbers ? 0.5 : 0.75;  // numbers stay legible on the darkest cell
  const shade = options.shade ??
    ((value) => high === low ? 0.4 : 0.1 + most * (value - low) / (high - low));
  return s("g", { transform: `translate(${x} ${y})`, class: "sheet" },
    s("rect", { class: "paper", width: cell * values[0].length, height: cell * values.length }),
    values.map((line, row) => line.map((value, column) => s("g", {},
      s("rect", { x: column * cell, y: row * cell, width: cell, height: cell,
        fill: color, "fill-opacity": shade(value, row, column), class: "cell" }),
      options.numbers ? s("text", { x: (column + 0.5) * cell, y: (row + 0.5) * cell,
        class: "number" }, minus(value)) : null))),
    s("rect", { class: "edge", stroke: color, width: cell * values[0].length,
      height: cell * values.length }));
};
const svg = (width, height, label, ...children) =>
  s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label,
    style: `max-width:${width}px` }, ...children);

/* Count ``value`` up or down to a new number in 400 ms, or at once with reduced motion. */
const counted = (element, from, to) => {
  if (calm() || from === to) { element.textContent = whole(to); return; }
  const began = performance.now();
  element.dataset.to = to;
  const tick = (now) => {
    if (element.dataset.to !== String(to)) return;
    const part = Math.min((now - began) / 400, 1);
    element.textContent = whole(from + (to - from) * part);
    if (part < 1) requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
};
const operations = {};
