/* The window of a depthwise layer over its feature map, and both receptive fields over the image. */
operations.kernel = (place, data, { narrow, state }) => {
  state.at ??= data.after;
  const most = data.rows.length - 1;
  const largest = Math.max(...data.rows.flatMap((row) => row.layers.map(({ macs }) => macs)));
  const drawing = h("div", { class: "drawn pair" }), costs = h("div", {});
  const figures = {
    weights: figure("weights", "weights per channel"),
    field: figure("field", "theoretical field, last stage"),
    effective: figure("effective", "measured: square with 50%"),
    network: figure("network", "whole network"),
  };
  const draw = () => {
    const row = data.rows[state.at], cells = 13, cell = 22, first = (cells - row.size) / 2;
    const inside = (at) => at >= first && at < first + row.size;
    const grid = range(cells).map((y) => range(cells).map((x) => {
      /* A picture: a disc over a slope. */
      const bright = Math.hypot(x - 8, y - 5) < 3.4 ? 0.75 : y > 9 - x / 4 ? 0.45 : 0.15;
      const held = inside(x) && inside(y);
      return s("rect", { x: x * cell, y: y * cell, width: cell - 1, height: cell - 1,
        fill: held ? data.colors[1] : data.colors[0], "fill-opacity": held ? bright * 0.8 + 0.2 : bright * 0.55 });
    }));
    const windowed = s("svg", { viewBox: `-2 -2 ${cells * cell + 4} ${cells * cell + 4}`, role: "img",
      "aria-label": `A window of ${row.size} by ${row.size} positions over a feature map` }, grid,
    s("rect", { class: "window", x: first * cell, y: first * cell, width: row.size * cell - 1, height: row.size * cell - 1 }),
    s("rect", { class: "window dot", x: 6 * cell, y: 6 * cell, width: cell - 1, height: cell - 1 }));
    const sides = row.fields.map(({ size }) => size), last = sides[sides.length - 1];
    /* The drawing ends where the measured image does; larger fields are cut off there. */
    const frame = row.effective?.image_size ?? data.image, scale = 286 / frame, beyond = last > frame;
    const square = (size, kind) => {
      const side = Math.min(size, frame) * scale;
      return s("rect", { class: kind, x: 145 - side / 2, y: 145 - side / 2, width: side, height: side });
    };
    const fields = s("svg", { viewBox: "0 0 290 290", role: "img", "aria-label":
      `Receptive fields around an image of ${data.image} pixels: theoretical ${last}` +
      (row.effective ? `, half of the gradient within ${row.effective["50"]}` : "") },
    square(data.image, "image"), square(last, "theory"),
    row.effective ? ["80", "50", "20"].map((share) => square(row.effective[share], `effect e${share}`)) : null);
    drawing.replaceChildren(
      h("figure", {}, windowed, h("figcaption", {}, "The window over a feature map; the middle is the output position.")),
      h("figure", {}, fields, h("figcaption", {}, h("i", { class: "key image" }), `image, ${data.image} px  `,
        h("i", { class: "key theory" }), `theoretical, ${whole(last)} px${beyond ? " (beyond this drawing)" : ""}  `,
        row.effective ? [h("i", { class: "key effect" }), `measured: ${row.effective["20"]}, ${row.effective["50"]}, ${row.effective["80"]} px hold 20%, 50%, 80%`] : "not measured for this network")));
  };
  const update = () => {
    const row = data.rows[state.at];
    kernel.show(state.at);
    draw();
    figures.weights.value.textContent = `${row.size}² = ${row.size ** 2}`;
    figures.field.value.textContent = `${whole(row.fields.at(-1).size)} px`;
    figures.effective.value.textContent = row.effective ? `${row.effective["50"]} px` : "–";
    figures.network.value.textContent = giga(row.network);
    costs.replaceChildren(h("h4", {}, "Multiply-adds by layer, one block of stage 1"),
      bars(row.layers.map((layer) => ({ name: layer.name, value: layer.macs, said: millions(layer.macs),
        color: data.colors[layer.kind === "depthwise" ? 1 : 0] })), largest),
      h("h4", {}, "Theoretical field after"),
      bars(row.fields.map((field) => ({ name: field.part, value: field.size, said: `${whole(field.size)} px`,
        color: "var(--rest)" })), data.rows[most].fields.at(-1).size),
      h("p", { class: "note" }, row.effective ? `Measured on untrained networks, ${row.effective.images} noise images of ${row.effective.image_size} pixels. `
        : "", "The measured field grows less than the theoretical one: pixels far from the middle hardly count."));
  };
  const kernel = slider("Kernel size", most, state.at, (at) => `${data.rows[at].size}`,
    (at) => { state.at = at; update(); });
  place.append(h("div", { class: "controls" }, h("div", { class: "row" }, kernel.element,
    button("Before", () => { state.at = data.before; update(); }),
    button("After", () => { state.at = data.after; update(); }))),
  h("div", { class: "figures", "aria-live": "polite" }, Object.values(figures).map(({ element }) => element)),
  h("div", { class: "sides" }, drawing, costs));
  update();
};
