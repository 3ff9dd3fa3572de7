/* Kernels slide over sheets; wires join the sheets that one output channel sums over. */
operations.convolution = (place, data, { narrow, state }) => {
  const channels = data.input.length, kernel = data.weights[0][0].length;
  const outSide = data.input[0].length - kernel + 1;
  state.kind ??= 0; state.out ??= 0; state.at ??= 5; state.mix ??= false;

  const reads = (out, channel) => {
    const per = channels / data.kinds[state.kind].groups;
    return Math.floor(out / per) === Math.floor(channel / per);
  };
  const terms = (out, channel, at) => range(kernel).flatMap((row) => range(kernel).map((column) => [
    data.input[channel][Math.floor(at / outSide) + row][at % outSide + column],
    data.weights[out][channel][row][column]]));
  const sum = (out, channel, at) => terms(out, channel, at).reduce((all, [v, w]) => all + v * w, 0);
  const value = (out, at) => range(channels)
    .filter((channel) => reads(out, channel)).reduce((all, c) => all + sum(out, c, at), 0);
  const mixed = (out, at) => range(channels)
    .reduce((all, c) => all + data.mix[out][c] * value(c, at), 0);
  const grid = (of, out) => range(outSide).map((row) =>
    range(outSide).map((column) => of(out, row * outSide + column)));

  const counter = figure("macs", "multiply-adds per output position");
  const formula = h("span", { class: "formula", "data-figure": "formula" });
  const wireCount = figure("wires", "kernels (wires)");
  const drawing = h("div", { class: "drawn" }), working = h("div", { class: "working" });
  const real = h("div", {});
  let shown = data.kinds[0].macs;

  const draw = () => {
    const cell = narrow ? 13 : 22, gap = narrow ? 12 : 16, top = 26;
    const side = cell * data.input[0].length, outSize = cell * outSide, small = narrow ? 9 : 20;
    const height = top + channels * (side + gap);
    const columns = narrow ? [0, 120, 180, 290] : [0, 232, 392, 550];
    const width = narrow ? 345 : 640;
    const middle = (channel) => top + channel * (side + gap) + side / 2;
    const [row, column] = [Math.floor(state.at / outSide), state.at % outSide];
    const wires = [], kernels = [];
    for (const out of range(channels)) for (const channel of range(channels)) {
      if (!reads(out, channel)) continue;
      const now = out === state.out, x1 = columns[0] + side, x2 = columns[2];
      const bend = (x1 + x2) / 2;
      wires.push(s("path", { class: now ? "wire now" : "wire", stroke: data.colors[channel],
        d: `M${x1} ${middle(channel)}C${bend} ${middle(channel)} ${bend} ${middle(out)} ${x2} ${middle(out)}` }));
      if (now) kernels.push(sheet(columns[1] - small * 1.5,
        (middle(channel) + (middle(out) - middle(channel)) * (narrow ? 0.3 : 0.26)) - small * 1.5,
        data.weights[out][channel], small, data.colors[channel], { numbers: !narrow }));
    }
    const mixing = [];
    if (state.mix) for (const out of range(channels)) for (const channel of range(channels)) {
      mixing.push(s("path", { class: out === state.out ? "wire now" : "wire",
        stroke: data.colors[channel],
        d: `M${columns[2] + outSize} ${middle(channel)}L${columns[3]} ${middle(out)}` }));
    }
    const pick = (out, x, y, of) => s("g", { class: "pick", onclick: (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      const at = (offset, length) => Math.min(outSide - 1, Math.max(0, Math.floor(outSide * offset / length)));
      state.out = out;
      state.at = at(event.clientY - box.top, box.height) * outSide + at(event.clientX - box.left, box.width);
      update();
    } }, sheet(x, y, grid(of, out), cell, data.colors[out], { numbers: !narrow }),
      out === state.out ? s("rect", { class: "window", x: x + column * cell, y: y + row * cell,
        width: cell, height: cell }) : null);
    const label = `${data.kinds[state.kind].name} convolution: output channel ${state.out + 1} ` +
      `reads ${range(channels).filter((c) => reads(state.out, c)).map((c) => c + 1).join(", ")}`;
    drawing.replaceChildren(svg(width, height, label,
      s("text", { x: 0, y: 14, class: "label" }, "input"),
      s("text", { x: columns[2], y: 14, class: "label" }, "output"),
      state.mix ? s("text", { x: columns[3], y: 14, class: "label" }, "after 1×1") : null,
      wires, mixing, kernels,
      range(channels).map((c) => [
        sheet(0, middle(c) - side / 2, data.input[c], cell, data.colors[c], { numbers: !narrow }),
        reads(state.out, c) ? s("rect", { class: "window", x: column * cell,
          y: middle(c) - side / 2 + row * cell, width: kernel * cell, height: kernel * cell }) : null,
        pick(c, columns[2], middle(c) - outSize / 2, value),
        state.mix ? pick(c, columns[3], middle(c) - outSize / 2, mixed) : null])));
  };
  const explain = () => {
    const parts = range(channels).filter((c) => reads(state.out, c));
    const lines = parts.map((c) => h("p", { style: `--sheet:${data.colors[c]}` },
      h("span", { class: "chip" }, `channel ${c + 1}`),
      h("span", { class: "sum" }, terms(state.out, c, state.at)
        .map(([v, w]) => `${v}·${w < 0 ? `(${minus(w)})` : w}`).join(" + ")),
      h("b", {}, ` = ${whole(sum(state.out, c, state.at))}`)));
    const total = h("p", { class: "total" }, `Output channel ${state.out + 1}: `,
      parts.length > 1 ? `${parts.map((c) => whole(sum(state.out, c, state.at))).join(" + ")} = ` : "",
      h("b", { "data-figure": "value" }, whole(value(state.out, state.at))));
    const one = state.mix ? h("p", { class: "total" }, "After the 1×1 layer: ",
      range(channels).map((c) => `${minus(data.mix[state.out][c])}·${value(c, state.at) < 0 ?
        `(${whole(value(c, state.at))})` : whole(value(c, state.at))}`).join(" + ").replaceAll("−1·", "(−1)·"),
      " = ", h("b", { "data-figure": "mixed" }, whole(mixed(state.out, state.at)))) : null;
    working.replaceChildren(...[...lines, total, one].filter(Boolean));
  };
  const count = () => {
    const kind = data.kinds[state.kind], total = kind.macs + (state.mix ? data.mix_macs : 0);
    counted(counter.value, shown, total);
    shown = total;
    const per = channels / kind.groups;
    formula.textContent = `${kernel ** 2} · ${channels}${per > 1 ? ` · ${per}` : ""}` +
      `${state.mix ? ` + ${channels} · ${channels}` : ""}`;
    wireCount.value.textContent = channels * per;
    const { full } = data, most = data.kinds[0].full;
    real.replaceChildren(h("h4", {}, `The same in this network: ${full.channels} channels, ` +
      `${full.kernel}×${full.kernel} kernel, ${full.size} × ${full.size} positions`),
    bars([...data.kinds.map((each, at) => ({
      name: each.full_groups > 1 ? `${each.name}, ${each.full_groups} groups` : each.name,
      value: each.full, said: millions(each.full),
      color: at === state.kind ? "var(--st-primary-color)" : "var(--rest)", now: at === state.kind })),
    { name: "1×1 layer", value: full.mix, said: millions(full.mix), now: state.mix,
      color: state.mix ? "var(--st-primary-color)" : "var(--rest)" }], most),
    h("p", { class: "note" }, "Multiply-adds per image in one layer. A depthwise convolution never mixes channels; the 1×1 layer does only that."));
  };
  const position = slider("Window", outSide ** 2 - 1, state.at, (at) =>
    `row ${Math.floor(at / outSide) + 1}, column ${at % outSide + 1}`, (at) => { halt(); state.at = at; update(); });
  const update = () => {
    position.show(state.at);
    draw(); explain(); count();
    outs.querySelectorAll("input")[state.out].checked = true;
  };
  let timer;
  const halt = () => { clearInterval(timer); timer = null; play.textContent = "Slide"; };
  const play = button("Slide", () => {
    if (timer) { halt(); return; }
    play.textContent = "Stop";
    timer = setInterval(() => { state.at = (state.at + 1) % outSide ** 2; update(); }, 700);
  });
  const outs = radios("Output channel", range(channels).map((c) => String(c + 1)), state.out,
    (out) => { state.out = out; update(); });
  place.append(h("div", { class: "controls" },
    radios("Convolution", data.kinds.map(({ name }) => name), state.kind,
      (kind) => { state.kind = kind; update(); }),
    outs, h("div", { class: "row" }, position.element, play),
    toggle("Add the 1×1 layer", state.mix, (on) => { state.mix = on; update(); })),
  h("div", { class: "figures", "aria-live": "polite" },
    h("div", {}, counter.element, formula), wireCount.element),
  h("div", { class: "sides" }, drawing, h("div", {}, h("h4", {}, "Under the window"), working, real)));
  update();
  return halt;
};
