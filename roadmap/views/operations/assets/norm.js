/* A batch of feature maps; the values that share a mean and a variance with the chosen one. */
operations.norm = (place, data, { narrow, state }) => {
  const kinds = [...Object.keys(data.kinds), "own"];
  const titles = [...Object.values(data.kinds), "Your own choice"];
  const images = data.values.length, channels = data.values[0].length, side = data.values[0][0].length;
  state.kind ??= Math.max(kinds.indexOf(data.start), 0);
  state.at ??= [0, 1, 4];
  state.own ??= new Set();
  const value = (n, c, p) => data.values[n][c][Math.floor(p / side)][p % side];
  const key = (n, c, p) => `${n},${c},${p}`;
  const all = range(images).flatMap((n) => range(channels).flatMap((c) => range(side ** 2).map((p) => [n, c, p])));
  const together = () => {
    const [n, c, p] = state.at;
    if (kinds[state.kind] === "batch") return all.filter((each) => each[1] === c);
    if (kinds[state.kind] === "layer") return all.filter((each) => each[0] === n && each[2] === p);
    return all.filter((each) => state.own.has(key(...each)));
  };
  const drawing = h("div", { class: "drawn" });
  const figures = { count: figure("count", "values averaged together"), mean: figure("mean", "mean"),
    variance: figure("variance", "variance"), result: figure("result", "the chosen value") };
  const working = h("p", { class: "sum note" }), counts = h("div", {});
  const cell = narrow ? 23 : 32, gap = narrow ? 8 : 20, edge = narrow ? 16 : 74, top = 26;
  const x = (c) => edge + c * (side * cell + gap), y = (n) => top + n * (side * cell + gap);
  const choose = (each) => {
    state.at = each;
    if (kinds[state.kind] === "own") state.own.add(key(...each));
    update();
  };
  let brushing = null;
  const cells = new Map();
  const nodes = all.map(([n, c, p]) => {
    const node = s("g", { class: "value", transform: `translate(${x(c) + (p % side) * cell} ${y(n) + Math.floor(p / side) * cell})`,
      role: "button", tabindex: -1,
      "aria-label": `Image ${n + 1}, channel ${c + 1}, position ${p + 1}: ${value(n, c, p)}` },
    s("rect", { width: cell - 1, height: cell - 1, fill: data.colors[c], rx: 2 }),
    s("text", { class: "number", x: cell / 2, y: cell / 2 }, value(n, c, p)));
    cells.set(key(n, c, p), node);
    node.place = [n, c, p];
    return node;
  });
  const shown = svg(edge + channels * (side * cell + gap), top + images * (side * cell + gap),
    "A batch of feature maps. Arrow keys choose a value.",
    range(channels).map((c) => s("text", { class: "label center", x: x(c) + side * cell / 2, y: 16 }, narrow ? `ch. ${c + 1}` : `channel ${c + 1}`)),
    range(images).map((n) => s("text", { class: "label", x: 0, y: y(n) + side * cell / 2 + 5 }, narrow ? n + 1 : `image ${n + 1}`)), nodes);
  shown.setAttribute("role", "group");
  shown.classList.add("brush");
  const under = (event) => place.getRootNode().elementFromPoint(event.clientX, event.clientY)?.closest(".value")?.place;
  shown.addEventListener("pointerdown", (event) => {
    const each = under(event);
    if (!each) return;
    if (kinds[state.kind] !== "own") { choose(each); cells.get(key(...each)).focus({ preventScroll: true }); return; }
    brushing = !state.own.has(key(...each));
    brush(each);
  });
  const brush = (each) => {
    state.at = each;
    if (brushing) state.own.add(key(...each)); else state.own.delete(key(...each));
    update();
  };
  shown.addEventListener("pointermove", (event) => {
    if (brushing !== null && under(event)) brush(under(event));
  });
  const end = () => { brushing = null; };
  addEventListener("pointerup", end);
  shown.addEventListener("keydown", (event) => {
    let [n, c, p] = state.at;
    let row = n * side + Math.floor(p / side), column = c * side + p % side;
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      const at = key(n, c, p);
      if (kinds[state.kind] !== "own") return;
      if (state.own.has(at)) state.own.delete(at); else state.own.add(at);
      update();
      return;
    }
    if (!moves[event.key]) return;
    event.preventDefault();
    row = Math.min(Math.max(row + moves[event.key][0], 0), images * side - 1);
    column = Math.min(Math.max(column + moves[event.key][1], 0), channels * side - 1);
    [n, c, p] = [Math.floor(row / side), Math.floor(column / side), (row % side) * side + column % side];
    state.at = [n, c, p];
    update();
    cells.get(key(n, c, p)).focus();
  });
  const update = () => {
    const set = together(), values = set.map((each) => value(...each)), held = new Set(set.map((each) => key(...each)));
    for (const [name, node] of cells) {
      const now = name === key(...state.at);
      node.classList.toggle("held", held.has(name));
      node.classList.toggle("chosen", now);
      node.setAttribute("tabindex", now ? 0 : -1);
      node.setAttribute("aria-pressed", held.has(name));
    }
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    const chosen = value(...state.at), scaled = (chosen - mean) / Math.sqrt(variance);
    figures.count.value.textContent = values.length;
    const known = values.length > 0, usable = known && variance > 0;
    figures.mean.value.textContent = known ? fixed(mean) : "–";
    figures.variance.value.textContent = known ? fixed(variance) : "–";
    figures.result.value.textContent = usable ? `${chosen} → ${fixed(scaled)}` : `${chosen}`;
    working.textContent = !known ? "Drag over values, or press Space on one, to average them together."
      : usable ? `(${chosen} − ${fixed(mean)}) / √${fixed(variance)} = ${fixed(scaled)}`
        : "All values are equal: the variance is 0.";
  };
  const said = { batch: "Batch norm averages one channel over all positions of all images of the batch. What an image becomes depends on the others.",
    layer: "Layer norm averages one position over its channels. Each image is normalized alone." };
  const hint = h("p", { class: "note" });
  const tell = () => { hint.textContent = said[kinds[state.kind]] ?? "Brush any set of values."; };
  counts.replaceChildren(h("h4", {}, "Norms of a repeated block in this step"),
    blocks(data.norms, "norm"));
  drawing.append(shown);
  place.append(h("div", { class: "controls" },
    radios("Average together", titles, state.kind, (kind) => { state.kind = kind; tell(); update(); })),
  h("div", { class: "figures", "aria-live": "polite" }, Object.values(figures).map(({ element }) => element)),
  h("div", { class: "sides" }, drawing, h("div", {}, hint, working, counts)));
  tell();
  update();
  return () => removeEventListener("pointerup", end);
};

/* The layers of a block before and after a step, the counted ones filled. */
function blocks([before, after], kind) {
  return h("div", { class: "blocks" }, [["Before", before], ["After", after]].map(([title, block]) =>
    h("div", {}, h("b", {}, title), h("ol", {}, block.names.map((name, at) =>
      h("li", { class: block.marks[at] ? "mark" : "" }, name))),
    h("p", { class: "note" }, `${block.block} per block, ${block.network} ${kind}s in the network`))));
}
