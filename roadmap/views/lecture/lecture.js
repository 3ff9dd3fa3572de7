/* Lecture mode: one slide per step. All steps come at once, so stepping needs no server. */

const DURATION = 600; // milliseconds, from one step's drawing to the next
const SIZES = [1, 1.15, 1.3]; // of the text
const MANY = 6; // changes of a recipe that fit beside the words
const SIGNS = { added: "+", changed: "Δ", removed: "−" };
const WORDS = { added: "new", changed: "changed", removed: "removed" };
/* Columns of the two drawings, in their units: shortcut, layers, sign of a change, names. */
const COLUMNS = {
  network: { width: 540, axis: 105, sign: 222, name: 244 },
  block: { width: 520, axis: 155, lane: 24, sign: 274, name: 296 },
};
const CELL = 4.2; // of a kernel's grid
const SVG = "http://www.w3.org/2000/svg";

const html = (tag, className, text, parent) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
};
const svg = (tag, attributes, parent, text) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
};
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/* A shape's numbers, which move: place, size and kernel. */
const vector = (shape) => [
  shape.y, shape.height, shape.top ?? 0, shape.bottom ?? 0, shape.kernel ?? 0, 1,
];

const grid = (axis, middle, kernel) => {
  const half = (kernel * CELL) / 2, count = Math.round(kernel), step = (2 * half) / count;
  let path = "";
  for (let line = 0; line <= count; line++) {
    path += `M${axis - half},${middle - half + line * step}h${2 * half}`;
    path += `M${axis - half + line * step},${middle - half}v${2 * half}`;
  }
  return path;
};

/* One column of shapes, which moves to the shapes of the next step. */
class Drawing {
  constructor(parent, column, height) {
    this.column = column;
    this.nodes = new Map();
    const { width } = column;
    this.svg = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, parent);
    this.svg.style.setProperty("--width", width);
    this.svg.style.setProperty("--height", height);
    this.lines = svg("path", { class: "line" }, this.svg);
    this.frame = 0;
  }

  show({ shapes, height, split, joined }, moving) {
    const known = new Set(shapes.map(({ name }) => name));
    for (const [name, node] of this.nodes) if (!known.has(name)) node.leaves = true;
    for (const shape of shapes) this.target(shape, moving);
    const ends = shapes.filter(({ kind }) => kind === "end");
    const bottom = this.column.lane ? height - 40 : height - 12;
    this.to = [ends[0].y + 34, bottom, split, joined];
    this.from = moving && this.at ? this.at : this.to;
    cancelAnimationFrame(this.frame);
    if (!moving) return this.draw(1);
    let began;
    const tick = (now) => {
      began ??= now;
      const part = Math.min((now - began) / DURATION, 1);
      this.draw(part);
      if (part < 1) this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  target(shape, moving) {
    let node = this.nodes.get(shape.name);
    if (node && node.shape.kind !== shape.kind) {
      node.group.remove();
      node = undefined;
    }
    const to = vector(shape);
    if (!node) {
      const from = [to[0], to[1], 0, 0, to[4], 0]; // it grows from the axis
      node = { ...this.build(shape), at: from };
      this.nodes.set(shape.name, node);
    }
    Object.assign(node, { shape, from: node.at, to, leaves: false });
    this.write(node, shape, moving);
  }

  build({ name, kind }) {
    const group = svg("g", { "data-name": name }, this.svg);
    const parts = { group };
    if (kind === "conv" || kind === "slab") parts.area = svg("polygon", {}, group);
    if (kind === "pill") parts.area = svg("rect", {}, group);
    if (kind === "sum") parts.area = svg("path", { class: "sum" }, group);
    if (kind === "conv") parts.grid = svg("path", { class: "grid" }, group);
    if (kind !== "slab" && kind !== "sum") {
      parts.badge = svg("g", { class: "badge" }, group);
      svg("circle", { r: 13 }, parts.badge);
      parts.sign = svg("text", { y: 9 }, parts.badge);
      parts.text = svg("text", {}, group);
      parts.detail = svg("text", { class: "detail" }, group);
    }
    return parts;
  }

  write(node, { kind, text = "", detail = "", mark = "" }, moving) {
    node.group.setAttribute("class", `${kind} ${mark}`);
    if (!node.text) return;
    node.sign.textContent = SIGNS[mark] ?? "";
    node.badge.style.display = mark ? "" : "none";
    const changed = node.text.textContent !== text || node.detail.textContent !== detail;
    node.text.textContent = text;
    node.detail.textContent = detail;
    if (changed && moving) {
      for (const label of [node.text, node.detail]) {
        label.animate([{ opacity: 0 }, { opacity: 1 }], DURATION);
      }
    }
  }

  draw(part) {
    const eased = part < 0.5 ? 4 * part ** 3 : 1 - (2 - 2 * part) ** 3 / 2;
    const between = (from, to) => from.map((value, index) => value + (to[index] - value) * eased);
    for (const [name, node] of this.nodes) {
      const to = node.leaves ? [...node.to.slice(0, 2), 0, 0, node.to[4], 0] : node.to;
      if (node.leaves && node.leaving !== true) Object.assign(node, { from: node.at, leaving: true });
      if (!node.leaves) node.leaving = false;
      node.at = between(node.from, to);
      if (node.leaves && part === 1) {
        node.group.remove();
        this.nodes.delete(name);
      } else this.place(node);
    }
    this.at = between(this.from, this.to);
    this.connect(this.at);
  }

  place(node) {
    const { axis, sign, name } = this.column, { kind, text = "" } = node.shape;
    const [y, height, top, bottom, kernel, opacity] = node.at, middle = y + height / 2;
    node.group.style.opacity = opacity;
    if (kind === "conv" || kind === "slab") {
      const corners = [
        [axis - top / 2, y], [axis + top / 2, y],
        [axis + bottom / 2, y + height], [axis - bottom / 2, y + height],
      ];
      node.area.setAttribute("points", corners.map((corner) => corner.join()).join(" "));
    }
    if (node.grid) node.grid.setAttribute("d", kernel > 1 ? grid(axis, middle, kernel) : "");
    if (kind === "sum") {
      const circle = `M${axis - 14},${middle}a14,14 0 1,0 28,0a14,14 0 1,0 -28,0`;
      node.area.setAttribute("d", `${circle}M${axis - 7},${middle}h14M${axis},${middle - 7}v14`);
    }
    if (kind === "pill") {
      const width = Math.max(13 * text.length + 30, 100);
      const box = { x: axis - width / 2, y, width, height, rx: height / 2 };
      for (const [key, value] of Object.entries(box)) node.area.setAttribute(key, value);
    }
    if (!node.text) return;
    const centered = kind === "pill" || kind === "end", lines = node.detail.textContent ? 2 : 1;
    const first = lines === 2 ? middle - 5 : middle + 9;
    const x = centered ? axis : name;
    for (const [label, at] of [[node.text, first], [node.detail, first + 28]]) {
      label.setAttribute("x", x);
      label.setAttribute("y", at);
      label.setAttribute("text-anchor", centered ? "middle" : "start");
    }
    node.badge.setAttribute("transform", `translate(${sign},${middle})`);
  }

  connect([top, bottom, split, joined]) {
    const { axis, lane } = this.column;
    let path = `M${axis},${top}V${bottom}`;
    if (lane) {
      path += `M${axis},${split}H${lane + 12}Q${lane},${split} ${lane},${split + 12}`;
      path += `V${joined - 12}Q${lane},${joined} ${lane + 12},${joined}H${axis - 14}`;
    }
    this.lines.setAttribute("d", path);
  }
}

/* The views of a slide, of which one is shown: its network, its block, its recipe. */
const drawings = (parent, slides) => {
  const area = html("div", "lecture-drawing", undefined, parent);
  const drawn = ["network", "block"].map((name) => {
    const tallest = Math.max(...slides.map((slide) => slide[name].height));
    return [name, new Drawing(area, COLUMNS[name], tallest)];
  });
  const recipe = html("dl", "lecture-recipe", undefined, area);
  const nodes = { ...Object.fromEntries(drawn.map(([name, { svg }]) => [name, svg])), recipe };
  let last;
  return (slide, view, moving) => {
    for (const [name, drawing] of drawn) drawing.show(slide[name], moving);
    recipe.replaceChildren();
    for (const [name, before, after] of slide.recipe) {
      const row = html("div", "", undefined, recipe);
      html("dt", "", name, row);
      const value = html("dd", "", `${before} → `, row);
      html("b", "", after, value);
    }
    for (const [name, node] of Object.entries(nodes)) node.style.display = name === view ? "" : "none";
    const appears = view === "recipe" || view !== last;
    if (moving && appears) nodes[view].animate([{ opacity: 0 }, { opacity: 1 }], DURATION);
    parent.classList.toggle("many", view === "recipe" && slide.recipe.length > MANY);
    if (view === "recipe") area.removeAttribute("role");
    else area.setAttribute("role", "img");
    area.setAttribute("aria-label", slide.described);
    if (view === "recipe") area.removeAttribute("aria-label");
    last = view;
  };
};

const eyebrow = (slide, place, count) =>
  `Step ${place + 1} of ${count}, ${slide.group}${slide.adopted ? "" : " (tried, not adopted)"}`;

const figures = (parent, slide) => {
  parent.replaceChildren();
  for (const { large, name, small } of slide.figures) {
    const figure = html("div", "lecture-figure", undefined, parent);
    html("b", "", large, figure);
    const label = html("span", "", name, figure);
    if (small) html("small", "", small, label);
  }
};

/* Every slide, for the printer: the screen never shows them. */
const printed = (root, { slides }) => {
  const all = html("div", "lecture-print", undefined, root);
  slides.forEach((slide, place) => {
    const page = html("section", "lecture-page", undefined, all);
    const words = html("header", "lecture-words", undefined, page);
    html("p", "lecture-eyebrow", eyebrow(slide, place, slides.length), words);
    html("h2", "lecture-title", slide.title, words);
    html("p", "lecture-sentence", slide.sentence, words);
    html("p", "lecture-source", slide.source, words);
    figures(html("div", "lecture-figures", undefined, page), slide);
    drawings(page, slides)(slide, slide.views[0], false);
  });
};

/* A bar per step from the accuracy before it to its own, on one axis. */
const strip = (root, { slides, title }, go) => {
  const nav = html("nav", "lecture-strip", undefined, root);
  nav.setAttribute("aria-label", `Steps, ${title}`);
  const known = slides.map(({ top1 }) => top1).filter((value) => value !== null);
  const low = Math.min(...known), span = Math.max(...known) - low || 1;
  const at = (value) => (100 * (value - low)) / span;
  const list = html("ol", "", undefined, nav);
  return slides.map((slide, place) => {
    const button = html("button", "lecture-step", undefined, html("li", "", undefined, list));
    button.type = "button";
    const value = slide.top1 === null ? "no published accuracy" : `top-1 ${slide.top1.toFixed(2)}%`;
    button.dataset.label = `Step ${place + 1}: ${slide.title}`;
    button.dataset.value = value;
    const bar = html("i", slide.adopted ? "" : "tried", undefined, button);
    bar.style.setProperty("--group", slide.color);
    if (slide.top1 === null) bar.className = "unknown";
    else {
      const from = at(slide.from ?? slide.top1), to = at(slide.top1);
      /* Within the margins of both sides, of which the bar has its own at the left. */
      const within = (percent) => `calc((100% - 1.75rem) * ${percent / 100})`;
      bar.style.left = within(Math.min(from, to));
      bar.style.width = `max(4px, ${within(Math.abs(to - from))})`;
    }
    button.addEventListener("click", () => go(place));
    return button;
  });
};

const lecture = ({ data, parentElement, setTriggerValue }) => {
  const { slides, parameter } = data, count = slides.length;
  const root = html("div", "lecture", undefined, parentElement);
  root.tabIndex = -1;
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", `Lecture: ${data.title}`);
  root.style.setProperty("--ink", data.ink);
  const heights = slides.flatMap(({ network, block }) => [network.height, block.height]);
  root.style.setProperty("--tallest", Math.max(...heights));
  const page = getComputedStyle(document.querySelector(".stApp") ?? document.body).colorScheme;
  let dark = page.includes("dark"), size = 0, predict = false, view;
  let place = Math.max(slides.findIndex(({ key }) => key === data.step), 0);
  let seen = place; // the last step whose result was shown, which "predict first" leaves visible

  const buttons = strip(root, data, (to) => go(to));
  const slide = html("div", "lecture-slide", undefined, root);
  const notice = html("p", "lecture-notice", data.notice, slide);
  notice.setAttribute("role", "status");
  const words = html("header", "lecture-words", undefined, slide);
  words.setAttribute("aria-live", "polite");
  words.setAttribute("aria-atomic", "true");
  const group = html("p", "lecture-eyebrow", "", words);
  const title = html("h1", "lecture-title", "", words);
  const sentence = html("p", "lecture-sentence", "", words);
  const source = html("p", "lecture-source", "", words);
  const result = html("div", "lecture-figures", undefined, slide);
  result.setAttribute("aria-live", "polite");
  const draw = drawings(slide, slides);

  const tools = html("div", "lecture-tools", undefined, slide);
  tools.setAttribute("role", "group");
  tools.setAttribute("aria-label", "Lecture controls");
  /* Narrow windows show only the sign. */
  const tool = (sign, text, label, act) => {
    const button = html("button", "", undefined, tools);
    button.type = "button";
    button.title = label;
    button.setAttribute("aria-label", label);
    html("span", text ? "sign" : "", sign, button);
    html("span", "text", text, button);
    button.addEventListener("click", act);
    return button;
  };
  const back = tool("←", "← Previous", "Previous step", () => go(place - 1));
  const next = tool("→", "Next →", "Next step", () => forward());
  const other = tool("▦", "Show network", "", () => turn());
  const predicting = tool("?", "Predict first", "Predict first", () => {
    predict = !predict;
    seen = place;
    update();
  });
  const theme = tool("◐", "Dark theme", "", () => {
    dark = !dark;
    update();
  });
  const smaller = tool("A−", "", "Smaller text", () => resize(-1));
  const larger = tool("A+", "", "Larger text", () => resize(1));
  tool("", "Print", "Print, one slide per step", () => window.print()).className = "wide";
  tool("×", "Close", "Close the lecture (Escape)", () => leave());
  const renamed = (button, text) => {
    button.lastChild.textContent = text;
    button.title = text;
    button.setAttribute("aria-label", text);
  };

  const hidden = () => predict && place > seen;
  const resize = (by) => {
    size = Math.min(Math.max(size + by, 0), SIZES.length - 1);
    update();
  };
  const leave = () => setTriggerValue("leave", slides[place].key);
  const reveal = () => {
    seen = place;
    update();
  };
  const following = () => {
    const { views } = slides[place];
    return views[(views.indexOf(view) + 1) % views.length];
  };
  const turn = () => {
    view = following();
    draw(slides[place], view, !still());
    update();
  };
  const forward = () => (hidden() ? reveal() : go(place + 1));

  /* Show what depends on the state; the drawing is moved by ``go`` alone. */
  const update = () => {
    root.style.colorScheme = dark ? "dark" : "light";
    root.style.setProperty("--scale", SIZES[size]);
    renamed(theme, dark ? "Light theme" : "Dark theme");
    renamed(other, `Show ${following()}`);
    predicting.setAttribute("aria-pressed", predict);
    /* Not disabled, so that the keyboard's focus stays. */
    back.setAttribute("aria-disabled", place === 0);
    next.setAttribute("aria-disabled", place === count - 1 && !hidden());
    smaller.setAttribute("aria-disabled", size === 0);
    larger.setAttribute("aria-disabled", size === SIZES.length - 1);
    buttons.forEach((button, index) => {
      const concealed = predict && index > seen;
      button.classList.toggle("concealed", concealed);
      const { label, value } = button.dataset;
      button.setAttribute("aria-label", concealed ? label : `${label}, ${value}`);
      button.title = button.getAttribute("aria-label");
      button.tabIndex = index === place ? 0 : -1; // one stop on the way to the controls
      if (index === place) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    if (hidden()) {
      result.replaceChildren();
      const ask = html("button", "lecture-reveal", "What does this change? Show the result", result);
      ask.type = "button";
      ask.addEventListener("click", () => {
        reveal();
        root.focus();
      });
    } else figures(result, slides[place]);
  };

  const show = (moving) => {
    const now = slides[place];
    group.textContent = eyebrow(now, place, count);
    title.textContent = now.title;
    sentence.textContent = now.sentence;
    source.textContent = now.source;
    view = now.views[0];
    draw(now, view, moving && !still());
    update();
    buttons[place].scrollIntoView({ block: "nearest" });
  };
  const go = (to) => {
    if (to < 0 || to >= count || to === place) return;
    if (buttons[place] === document.activeElement) buttons[to].focus();
    place = to;
    notice.textContent = "";
    if (!predict) seen = place;
    const url = new URL(location.href);
    url.searchParams.set("roadmap", data.roadmap);
    url.searchParams.set("step", slides[place].key);
    url.searchParams.set(parameter, "1");
    history.replaceState(history.state, "", url);
    show(true);
  };

  const keys = {
    ArrowRight: forward, ArrowDown: forward, PageDown: forward,
    ArrowLeft: () => go(place - 1), ArrowUp: () => go(place - 1), PageUp: () => go(place - 1),
    Home: () => go(0), End: () => go(count - 1),
    p: leave, Escape: leave, b: () => turn(),
    "+": () => resize(1), "-": () => resize(-1),
  };
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && document.querySelector(".term-card:popover-open")) return;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
  document.addEventListener("keydown", pressed, { capture: true });
  show(false);
  printed(root, data);
  root.focus({ preventScroll: true });
  return () => {
    document.removeEventListener("keydown", pressed, { capture: true });
    root.remove();
  };
};

/* Streamlit calls this again when the page runs again; the same lecture then goes on. */
const running = new WeakMap();
export default (component) => {
  const { parentElement, data } = component;
  const same = running.get(parentElement);
  if (same?.roadmap === data.roadmap) return same.close;
  same?.close();
  const close = lecture(component);
  const ended = () => {
    close();
    running.delete(parentElement);
  };
  running.set(parentElement, { roadmap: data.roadmap, close: ended });
  return ended;
};
