/* A picture cut into the windows of a stem; pixels that two windows see are drawn darker. */
operations.stem = (place, data, { narrow, state }) => {
  state.stem ??= data.stems.length - 1;
  state.at ??= 23;
  const titles = { resnet: "ResNet stem", patchify: "Patchify stem" };
  const pixels = 28, cell = 16, drawing = h("div", { class: "drawn" }), side = h("div", {});
  const figures = { window: figure("window", "pixels per side of a window"), overlap: figure("overlap", "overlap with the next window"),
    seen: figure("seen", "windows that see an inner pixel"), macs: figure("macs", "multiply-adds") };
  const places = (stem) => {
    const pad = Math.floor((stem.size - stem.stride) / 2), count = pixels / stem.stride;
    return range(count).map((at) => at * stem.stride - pad);
  };
  const covers = (start, size, at) => at >= start && at < start + size;
  const draw = () => {
    const stem = data.stems[state.stem], starts = places(stem), per = starts.length;
    const now = [starts[Math.floor(state.at / per)], starts[state.at % per]];
    const next = state.at % per + 1 < per ? [now[0], starts[state.at % per + 1]] : null;
    const inside = ([top, left], row, column) => covers(top, stem.size, row) && covers(left, stem.size, column);
    const grid = range(pixels).map((row) => range(pixels).map((column) => {
      const bright = Math.hypot(column - 18, row - 9) < 6 ? 0.55 : row > 19 - column / 5 + Math.sin(column / 2) ? 0.35 : 0.14;
      const one = inside(now, row, column), other = next && inside(next, row, column);
      return s("rect", { x: column * cell, y: row * cell, width: cell - 1, height: cell - 1,
        fill: one && other ? data.colors[1] : one ? data.colors[0] : other ? data.colors[2] : "currentColor",
        "fill-opacity": one || other ? 0.35 + bright : bright * 0.6 });
    }));
    /* Windows without overlap cut the picture into patches. */
    const cuts = range(per - 1).map((at) => (at + 1) * stem.stride * cell - 0.5);
    const lines = stem.size > stem.stride ? [] : cuts.map((at) => [
      s("line", { class: "cut", x1: at, x2: at, y1: 0, y2: pixels * cell }),
      s("line", { class: "cut", y1: at, y2: at, x1: 0, x2: pixels * cell })]);
    const frame = ([top, left], kind) => s("rect", { class: `window ${kind}`, x: Math.max(left, 0) * cell,
      y: Math.max(top, 0) * cell, width: (Math.min(left + stem.size, pixels) - Math.max(left, 0)) * cell,
      height: (Math.min(top + stem.size, pixels) - Math.max(top, 0)) * cell });
    drawing.replaceChildren(svg(pixels * cell, pixels * cell, `${titles[stem.name]}: windows of ${stem.size} ` +
      `pixels every ${stem.stride} pixels`, grid, lines, next ? frame(next, "next") : null, frame(now, "")));
  };
  const update = () => {
    const stem = data.stems[state.stem], per = places(stem).length, overlap = Math.max(stem.size - stem.stride, 0);
    position.show(state.at);
    draw();
    figures.window.value.textContent = stem.size;
    figures.overlap.value.textContent = `${overlap} px`;
    /* Windows start every ``stride`` pixels, so a pixel is in size / stride of them along a side. */
    const fewest = Math.floor(stem.size / stem.stride) ** 2, most = Math.ceil(stem.size / stem.stride) ** 2;
    figures.seen.value.textContent = fewest === most ? fewest : `${fewest} to ${most}`;
    figures.macs.value.textContent = millions(stem.macs);
    side.replaceChildren(h("p", { class: "keys" }, h("i", { style: `background:${data.colors[0]}` }), "one window ",
      h("i", { style: `background:${data.colors[2]}` }), "the next ",
      overlap ? [h("i", { style: `background:${data.colors[1]}` }), "both"] : ""),
    h("h4", {}, "Layers"), h("ol", {}, stem.layers.map((layer) => h("li", {}, layer))),
    h("p", { class: "note" }, `Both stems turn an image of ${data.image} pixels into ${stem.out} × ${stem.out} ` +
      `positions of ${stem.channels} channels, one every ${stem.stride} pixels. This one has ${whole(stem.params)} parameters.`),
    bars(data.stems.map((each, at) => ({ name: titles[each.name], value: each.macs, said: millions(each.macs),
      now: at === state.stem, color: at === state.stem ? "var(--st-primary-color)" : "var(--rest)" })),
    Math.max(...data.stems.map(({ macs }) => macs))));
  };
  const count = (pixels / data.stems[0].stride) ** 2;
  const position = slider("Window", count - 1, state.at, (at) => {
    const per = Math.sqrt(count);
    return `row ${Math.floor(at / per) + 1}, column ${at % per + 1}`;
  }, (at) => { state.at = at; update(); });
  place.append(h("div", { class: "controls" },
    radios("Stem", data.stems.map(({ name }) => titles[name]), state.stem, (stem) => { state.stem = stem; update(); }),
    h("div", { class: "row" }, position.element)),
  h("div", { class: "figures", "aria-live": "polite" }, Object.values(figures).map(({ element }) => element)),
  h("div", { class: "sides" }, drawing, side));
  update();
};
