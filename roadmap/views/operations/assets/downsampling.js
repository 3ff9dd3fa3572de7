/* Why the resolution change needs a norm: the variance of the signal, block by block. */
operations.downsampling = (place, data, { narrow, state }) => {
  state.gain ??= data.gains.indexOf(2) >= 0 ? data.gains.indexOf(2) : 0;
  const drawing = h("div", { class: "drawn" });
  const figures = { gain: figure("gain", "factor of each downsampling"), without: figure("without", "last stage, without norms"),
    with: figure("with", "last stage, with norms") };
  /* Each block adds an independent branch of variance 1; downsampling scales the signal. */
  const walk = (normed) => {
    const gain = data.gains[state.gain], points = [];
    let variance = 1;
    data.depths.forEach((depth, stage) => {
      if (stage) { variance = (normed ? 1 : variance) * gain ** 2; points.push([Math.sqrt(variance), stage]); }
      for (const _ of range(depth)) { variance += 1; points.push([Math.sqrt(variance), null]); }
    });
    return points;
  };
  const width = narrow ? 345 : 620, height = 320, left = 48;
  const update = () => {
    gain.show(state.gain);
    const [without, held] = [walk(false), walk(true)], all = [...without, ...held].map(([size]) => size);
    const high = Math.log10(Math.max(...all, 10)), low = Math.min(Math.log10(Math.min(...all, 1)), 0);
    const x = (at) => left + at / (without.length - 1) * (width - left - 16);
    const y = (size) => 14 + (high - Math.log10(size)) / (high - low) * (height - 50);
    const line = (points) => `M${points.map(([size], at) => `${x(at)} ${y(size)}`).join("L")}`;
    const ticks = range(Math.floor(high) - Math.ceil(low) + 1).map((at) => 10 ** (at + Math.ceil(low)));
    drawing.replaceChildren(svg(width, height, `Size of the signal, block by block: ${fixed(without.at(-1)[0], 1)} at the end without norms, ${fixed(held.at(-1)[0], 1)} with norms`,
      ticks.map((tick) => [s("line", { class: "grid", x1: left, x2: width - 16, y1: y(tick), y2: y(tick) }),
        s("text", { class: "label", x: 2, y: y(tick) + 5 }, String(tick))]),
      without.map(([, stage], at) => stage ? s("line", { class: "cursor", x1: x(at), x2: x(at), y1: 14, y2: height - 36 }) : null),
      s("text", { class: "label center", x: (left + width) / 2, y: height - 8 }, "blocks; dashes: downsampling"),
      s("path", { class: "curve", d: line(without), stroke: data.colors[1] }),
      s("path", { class: "curve", d: line(held), stroke: data.colors[0] })));
    figures.gain.value.textContent = `${fixed(data.gains[state.gain])}`;
    figures.without.value.textContent = fixed(without.at(-1)[0], 1);
    figures.with.value.textContent = fixed(held.at(-1)[0], 1);
  };
  const gain = slider("Factor of each downsampling", data.gains.length - 1, state.gain,
    (at) => fixed(data.gains[at]), (at) => { state.gain = at; update(); });
  const chain = (names) => h("ol", { class: "chain" }, names.map((name) => h("li", { class: name.endsWith("norm") ? "mark" : "" }, name)));
  const side = h("div", {}, h("p", { class: "keys" }, h("i", { style: `background:${data.colors[1]}` }), "without norms ",
    h("i", { style: `background:${data.colors[0]}` }), "with a norm before each downsampling"),
  h("p", { class: "note" }, "An illustration, not a measurement: each block adds an independent branch of variance 1, and each downsampling convolution multiplies the signal by the same factor. Without norms the factors multiply from stage to stage; a norm resets the size before each. The paper reports that training diverged without these norms."),
  h("h4", {}, "Before: in the first block of a stage"), chain(data.in_block.at(-1)),
  h("h4", {}, "After: a layer of its own between stages"), chain(data.layers.at(-1)),
  h("p", { class: "note" }, `${data.norms} norms stand where the resolution changes: after the stem, before each downsampling and after pooling.`));
  place.append(h("div", { class: "controls" }, h("div", { class: "row" }, gain.element)),
    h("div", { class: "figures", "aria-live": "polite" }, Object.values(figures).map(({ element }) => element)),
    h("div", { class: "sides" }, drawing, side));
  update();
};
