/* Two curves and their slopes at one input, and the activations of a block. */
operations.activation = (place, data, { narrow, state }) => {
  state.at ??= data.inputs.indexOf(-0.7) >= 0 ? data.inputs.indexOf(-0.7) : 33;
  const drawing = h("div", { class: "drawn" }), side = h("div", {});
  const figures = { x: figure("x", "input x"), relu: figure("relu", "ReLU(x), slope"),
    gelu: figure("gelu", "GELU(x), slope"), gap: figure("gap", "difference") };
  const width = narrow ? 345 : 620, height = narrow ? 300 : 400, low = -1, high = 4, left = 30;
  const x = (value) => left + (value + 4) / 8 * (width - left - 12);
  const y = (value) => 12 + (high - value) / (high - low) * (height - 44);
  const path = (curve) => `M${data.inputs.map((input, at) => `${x(input)} ${y(curve[at][0])}`).join("L")}`;
  const tangent = (curve, color) => {
    const [value, slope] = curve[state.at], at = data.inputs[state.at];
    return [s("line", { x1: x(at - 0.9), y1: y(value - 0.9 * slope), x2: x(at + 0.9),
      y2: y(value + 0.9 * slope), stroke: color, class: "tangent" }),
    s("circle", { cx: x(at), cy: y(value), r: 7, fill: color, class: "point" })];
  };
  const draw = () => {
    const at = data.inputs[state.at];
    const shown = svg(width, height, `ReLU and GELU at ${fixed(at, 1)}`,
      [-4, -2, 0, 2, 4].map((tick) => [s("line", { class: "grid", x1: x(tick), x2: x(tick), y1: 12, y2: height - 32 }),
        s("text", { class: "label center", x: x(tick), y: height - 10 }, minus(tick))]),
      [0, 2, 4].map((tick) => [s("line", { class: "grid", x1: left, x2: width - 12, y1: y(tick), y2: y(tick) }),
        s("text", { class: "label", x: 4, y: y(tick) + 5 }, tick)]),
      s("path", { class: "curve", d: path(data.relu), stroke: data.colors[0] }),
      s("path", { class: "curve", d: path(data.gelu), stroke: data.colors[1] }),
      s("line", { class: "cursor", x1: x(at), x2: x(at), y1: 12, y2: height - 32 }),
      tangent(data.relu, data.colors[0]), tangent(data.gelu, data.colors[1]));
    drawing.replaceChildren(shown);
  };
  const toInput = (event) => {
    const box = drawing.getBoundingClientRect(), scale = Math.min(box.width, width) / width;
    const value = ((event.clientX - box.left) / scale - left) / (width - left - 12) * (data.inputs.length - 1);
    state.at = Math.min(Math.max(Math.round(value), 0), data.inputs.length - 1);
    update();
  };
  drawing.addEventListener("pointerdown", (event) => { drawing.setPointerCapture(event.pointerId); toInput(event); });
  drawing.addEventListener("pointermove", (event) => { if (event.buttons) toInput(event); });
  drawing.classList.add("draggable");
  const update = () => {
    const both = [data.relu[state.at], data.gelu[state.at]];
    input.show(state.at);
    draw();
    figures.x.value.textContent = fixed(data.inputs[state.at], 1);
    figures.relu.value.textContent = `${fixed(both[0][0])}, ${fixed(both[0][1])}`;
    figures.gelu.value.textContent = `${fixed(both[1][0])}, ${fixed(both[1][1])}`;
    figures.gap.value.textContent = fixed(both[1][0] - both[0][0]);
  };
  const input = slider("Input x", data.inputs.length - 1, state.at, (at) => fixed(data.inputs[at], 1),
    (at) => { state.at = at; update(); });
  side.append(h("p", { class: "keys" }, h("i", { style: `background:${data.colors[0]}` }), "ReLU ",
    h("i", { style: `background:${data.colors[1]}` }), "GELU"),
  h("p", { class: "note" }, "ReLU cuts negative inputs off: value and slope are 0. GELU multiplies x by the probability that a normal variable is below it, so small negative inputs still pass a little, and the slope changes smoothly."),
  h("h4", {}, "Activations of a repeated block in this step"), blocks(data.blocks, "activation"));
  place.append(h("div", { class: "controls" }, h("div", { class: "row" }, input.element)),
    h("div", { class: "figures", "aria-live": "polite" }, Object.values(figures).map(({ element }) => element)),
    h("div", { class: "sides" }, drawing, side));
  update();
};
