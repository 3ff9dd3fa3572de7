/* Blocks as bricks in stages; buttons move them, and cost and parameters follow. */
operations.stages = (place, data, { state }) => {
  state.depths ??= [...data.after];
  const list = h("div", { class: "stages" });
  const figures = { blocks: figure("blocks", "blocks"), macs: figure("macs", "multiply-adds"),
    params: figure("params", "parameters"), ratio: figure("ratio", "blocks per stage") };
  const part = (stage, which) => stage.first[which] + (state.depths[data.parts.indexOf(stage)] - 1) * stage.other[which];
  const total = (which) => data.parts.reduce((sum, stage) => sum + part(stage, which), data.outside[which]);
  const change = (at, by) => {
    const to = state.depths[at] + by;
    if (to < 1 || to > data.most) return;
    state.depths[at] = to;
    update();
    list.querySelector(`[data-at="${at}${by > 0 ? "+" : "-"}"]`)?.focus();
  };
  const move = (from, to) => {
    if (state.depths[from] < 2) return;
    state.depths[from] -= 1; state.depths[to] += 1;
    update();
    list.querySelector(`[data-move="${from}${to}"]`)?.focus();
  };
  const small = (name, text, onClick, attributes) => h("button", { type: "button", "aria-label": name, title: name, onclick: onClick, ...attributes }, text);
  const update = () => {
    figures.blocks.value.textContent = state.depths.reduce((a, b) => a + b);
    figures.macs.value.textContent = giga(total(0));
    figures.params.value.textContent = millions(total(1));
    figures.ratio.value.textContent = state.depths.join(", ");
    const largest = Math.max(...data.parts.map((stage) => part(stage, 0)));
    list.replaceChildren(...data.parts.map((stage, at) => h("div", { class: "stage" },
      h("div", { class: "head" }, h("b", {}, `Stage ${at + 1}`), h("span", {}, `${stage.size} × ${stage.size} × ${stage.channels}`)),
      h("div", { class: "bricks", role: "img", "aria-label": `${state.depths[at]} blocks` }, range(state.depths[at]).map(() =>
        h("i", { style: `background:${data.colors[at % data.colors.length]}` }))),
      h("div", { class: "row" },
        small(`Remove a block from stage ${at + 1}`, "−", () => change(at, -1), { "data-at": `${at}-` }),
        h("b", { class: "depth" }, state.depths[at]),
        small(`Add a block to stage ${at + 1}`, "+", () => change(at, 1), { "data-at": `${at}+` }),
        at ? small(`Move a block from stage ${at + 1} to stage ${at}`, "↑", () => move(at, at - 1), { "data-move": `${at}${at - 1}` }) : null,
        at + 1 < data.parts.length ? small(`Move a block from stage ${at + 1} to stage ${at + 2}`, "↓", () => move(at, at + 1), { "data-move": `${at}${at + 1}` }) : null),
      h("div", { class: "share" }, h("i", {}, h("u", { style: `width:${100 * part(stage, 0) / largest}%;background:${data.colors[at % data.colors.length]}` })),
        h("span", {}, `${giga(part(stage, 0))}, ${percent(part(stage, 0) / total(0))}`)))));
  };
  place.append(h("div", { class: "controls" }, h("div", { class: "row" },
    button(`Before: ${data.before.join(", ")}`, () => { state.depths = [...data.before]; update(); }),
    button(`After: ${data.after.join(", ")}`, () => { state.depths = [...data.after]; update(); }))),
  h("div", { class: "figures", "aria-live": "polite" }, Object.values(figures).map(({ element }) => element)), list,
  h("p", { class: "note" }, "+ and − add or remove a block, ↑ and ↓ move it to the stage above or below. The widths are those of this step."));
  update();
};
