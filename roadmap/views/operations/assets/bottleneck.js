/* A block as a silhouette, wide or narrow in the middle; the handle changes which. */
operations.bottleneck = (place, data, { narrow, state }) => {
  state.at ??= data.before;
  const most = data.rows.length - 1;
  const widest = Math.max(...data.rows.flatMap((row) => [row.ends, row.middle]));
  const largest = Math.max(...data.rows.flatMap((row) => row.macs));
  const drawing = h("div", { class: "drawn" }), costs = h("div", {});
  const figures = {
    ratio: figure("ratio", "middle / ends"), shortcut: figure("shortcut", "values on the shortcut"),
    macs: figure("macs", "multiply-adds per block"), params: figure("params", "parameters of its convolutions"),
  };
  const width = narrow ? 345 : 620, height = 380, center = width / 2 + (narrow ? 26 : 40);
  const unit = (narrow ? 240 : 480) / widest, levels = [50, 150, 230, 330];
  const half = (channels) => channels * unit / 2;

  const draw = () => {
    const { ends, middle, ratio } = data.rows[state.at];
    const [top, from, to, bottom] = levels, left = (channels) => center - half(channels);
    const right = (channels) => center + half(channels);
    const edge = Math.max(half(ends), 8);
    const layers = [[ends, middle, top, from], [middle, middle, from, to], [middle, ends, to, bottom]];
    const colors = [data.colors[0], data.colors[1], data.colors[0]];
    const shapes = layers.map(([a, b, y1, y2], place) => s("path", { fill: colors[place],
      "fill-opacity": place === 1 ? 0.55 : 0.28, stroke: colors[place],
      d: `M${left(a)} ${y1}L${right(a)} ${y1}L${right(b)} ${y2}L${left(b)} ${y2}Z` }));
    /* The middle's words stand beside it where they would not fit inside. */
    const beside = middle * unit < 170, wordX = beside ? right(middle) + 24 : center;
    const words = layers.map(([, , y1, y2], place) => s("text", { x: place === 1 ? wordX : center,
      y: (y1 + y2) / 2 + (place === 1 ? -4 : 5),
      class: `label strong ${place === 1 && beside ? "" : "center"}` }, data.layers[place]));
    const x = narrow ? 14 : 20;
    const grip = s("g", { class: "grip", transform: `translate(${right(middle)} ${(from + to) / 2})` },
      s("circle", { r: 15 }), s("path", { d: "M-6 -4L-10 0L-6 4M6 -4L10 0L6 4" }));
    const shown = svg(width, height, `A block with ${ends} channels at its ends and ${middle} in the ` +
      `middle, ratio ${ratio}; the shortcut has ${ends} channels`,
    s("path", { class: "skip", "stroke-width": Math.max(ends * unit / 16, 2),
      d: `M${center - edge} ${top - 14}H${x + 10}V${bottom + 14}H${center - edge}` }),
    s("text", { x: x + 18 + ends * unit / 32, y: height / 2 - 4, class: "label" }, narrow ? "" : "shortcut"),
    shapes, words,
    s("text", { x: center, y: top - 12, class: "label center" }, `${ends} channels`),
    s("text", { x: center, y: bottom + 26, class: "label center" }, `${ends} channels`),
    s("text", { x: wordX, y: (from + to) / 2 + 18, class: `label ${beside ? "" : "center"}` }, `${middle} channels`), grip);
    drawing.replaceChildren(shown);
    grip.addEventListener("pointerdown", (event) => follow(event, shown));
  };
  /* The nearest ratio to the place of the pointer: its distance from the center over the ends'. */
  const follow = (event, shown) => {
    event.preventDefault();
    const began = state.at, start = event.clientX;
    const step = shown.getBoundingClientRect().width / 14;
    const move = (now) => {
      const at = Math.round(began + (now.clientX - start) / step);
      const held = Math.min(Math.max(at, 0), most);
      if (held !== state.at) { state.at = held; update(); }
    };
    const end = () => { removeEventListener("pointermove", move); removeEventListener("pointerup", end); };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  };
  const update = () => {
    const row = data.rows[state.at], total = (each) => each.macs.reduce((a, b) => a + b);
    ratio.show(state.at);
    draw();
    figures.ratio.value.textContent = row.ratio;
    figures.shortcut.value.textContent = whole(row.shortcut);
    figures.macs.value.textContent = millions(total(row));
    figures.params.value.textContent = whole(row.params);
    const now = (at) => state.at === at;
    costs.replaceChildren(h("h4", {}, "Multiply-adds by layer"),
      bars(row.macs.map((value, place) => ({ name: data.layers[place], value,
        said: millions(value), color: data.colors[place === 1 ? 1 : 0] })), largest),
      h("p", { class: "note" }, now(data.before) ? "This is the block before the step: wide ends, narrow middle."
        : now(data.after) ? "This is the block after the step: the shortcut is narrow, and the depthwise layer works on the widest part."
          : "A ratio between the two blocks of the step."));
  };
  const ratio = slider("Middle / ends", most, state.at, (at) =>
    `${data.rows[at].ratio}: ${data.rows[at].ends} → ${data.rows[at].middle} → ${data.rows[at].ends}`,
  (at) => { state.at = at; update(); });
  place.append(h("div", { class: "controls" }, h("div", { class: "row" }, ratio.element,
    button("Before", () => { state.at = data.before; update(); }),
    button("After", () => { state.at = data.after; update(); }))),
  h("div", { class: "figures", "aria-live": "polite" }, Object.values(figures).map(({ element }) => element)),
  h("div", { class: "sides" }, drawing, costs));
  update();
};
