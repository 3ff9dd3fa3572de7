"""The cost of a network by layer: a treemap and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from models.config import ModelConfig
from models.spec import Conv, network_spec, placed_layers
from models.text import ended
from roadmap.charts import inside as charts
from roadmap.measure.complexity import count
from roadmap.text import ABSENT, number
from roadmap.views.common import address, figure, markup, turns
from roadmap.views.common.bounds import known
from roadmap.views.common.controls import segments

if TYPE_CHECKING:
    from pandas import DataFrame

#: Column, name, unit, decimals.
COSTS = {
    "gflops": ("GFLOPs", "GFLOPs", 3),
    "params": ("Parameters", "M", 3),
    "activations": ("Activations", "M", 3),
}
ALL = "all"


def show(config: ModelConfig, image_size: int, name: str) -> None:
    """Show the tab; ``name`` names the downloaded files."""
    cost, problem = address.option(st.query_params, "cost", tuple(COSTS))
    try:
        table = layers(config, image_size)
    except ValueError as error:
        text = str(error)
        st.html(markup.notice(f"{text[:1].upper()}{ended(text[1:])} Choose a larger image."))
        return
    if problem:
        st.html(markup.notice(problem))
    titles = {key: title for key, (title, *_) in COSTS.items()}
    segments("inside-area", "cost", "Area shows", titles, cost, label_visibility="collapsed")
    _, unit, decimals = COSTS[cost]
    st.html(_total(table, image_size))
    figure.show(charts.cost_treemap(table, cost, unit, decimals), table, name, _alt(table, cost))
    st.html(_legend(table, cost))
    _rows(table)


@st.cache_data(show_spinner=False, max_entries=64)
def layers(config: ModelConfig, image_size: int) -> DataFrame:
    """Return one row per layer with a cost: its place, kind and costs.

    Parameters and activations are in millions. Raises ``ValueError`` if the image is too small
    for the network.
    """
    import pandas as pd

    placed = {p.path: p.layer for p in placed_layers(network_spec(config), image_size)}
    rows = []
    for module in count(config, image_size).modules:
        if not module.parameters and not module.activations:
            continue
        part, block, layer = _place(module.path)
        conv = placed.get(module.path)
        pointwise = isinstance(conv, Conv) and conv.kernel_size == 1 and not conv.depthwise
        rows.append(
            {
                "path": module.path,
                "part": part,
                "block": block,
                "layer": layer,
                "kind": "1x1" if pointwise else module.kind,
                "out_size": module.out_size,
                "params": module.parameters / 1e6,
                "gflops": module.macs / 1e9,
                "activations": module.activations / 1e6,
            }
        )
    return pd.DataFrame(rows)


def _place(path: str) -> tuple[str, str, str]:
    """Return part, block and layer of a module path such as ``stages.0.blocks.1.branch.conv1``."""
    first, *rest = path.split(".")
    if first != "stages":
        return first.capitalize(), "", rest[-1]
    part = f"Stage {int(rest[0]) + 1}"
    if rest[1] == "downsample":
        return part, "downsampling", rest[-1]
    layer = rest[-1] if rest[3] == "branch" else f"shortcut {rest[-1]}"
    return part, f"block {int(rest[2]) + 1}", layer


def _total(table: DataFrame, image_size: int) -> str:
    sums = {key: number(table[key].sum(), 2) for key in COSTS}
    words = (
        f"<b>{sums['gflops']}</b> GFLOPs, <b>{sums['params']}</b> M parameters and "
        f"<b>{sums['activations']}</b> M activations"
    )
    return (
        f'<p class="why totals">{words} for one image of {image_size} × {image_size}. '
        "GFLOPs count the multiply-adds of convolutions and the classifier, activations their "
        "output elements, both as fvcore counts them.</p>"
    )


def _shares(table: DataFrame, cost: str, column: str) -> dict[str, float]:
    sums = table.groupby(column, sort=False)[cost].sum()
    total = float(sums.sum())
    return {str(key): float(value) / total for key, value in sums.items() if value}


def _alt(table: DataFrame, cost: str) -> str:
    parts = ", ".join(f"{k} {v:.0%}" for k, v in _shares(table, cost, "part").items())
    kinds = ", ".join(
        f"{charts.KINDS[k][0]} {v:.0%}" for k, v in _shares(table, cost, "kind").items()
    )
    return f"Treemap of {COSTS[cost][0]} by part: {parts}. By kind of layer: {kinds}."


def _legend(table: DataFrame, cost: str) -> str:
    shares = sorted(_shares(table, cost, "kind").items(), key=lambda item: -item[1])
    spans = "".join(
        f'<span><i style="background:{charts.KINDS[kind][1]}"></i>{charts.KINDS[kind][0]} '
        f"{100 * share:.1f}%</span>"
        for kind, share in shares
    )
    hint = "<span>Click an area to zoom in, its header to zoom out.</span>"
    return f'<p class="faint legend">{spans}{hint}</p>'


@turns.fragment
def _rows(table: DataFrame) -> None:
    """Show every layer in a table with filters by part and kind."""
    st.html(markup.heading("Every layer", 2, "section"))
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        parts, kinds = ([ALL, *dict.fromkeys(table[name])] for name in ("part", "kind"))
        part = st.selectbox(
            "Part",
            parts,
            format_func=lambda value: "All" if value == ALL else value,
            key="inside-cost-part",
            width=190,
        )
        kind = st.selectbox(
            "Kind of layer",
            kinds,
            format_func=lambda key: "All" if key == ALL else charts.KINDS[key][0],
            key="inside-cost-kind",
            width=230,
        )
    part, kind = known(part, parts), known(kind, kinds)
    shown = table
    if part != ALL:
        shown = shown[shown["part"] == part]
    if kind != ALL:
        shown = shown[shown["kind"] == kind]
    sums = ", ".join(
        f"{number(shown[key].sum(), digits)} "
        f"{title if title == unit else f'{unit} {title.lower()}'}"
        for key, (title, unit, digits) in COSTS.items()
    )
    st.html(markup.paragraph(f"{len(shown)} layers: {sums}. Click a column name to sort.", "faint"))
    number_of = st.column_config.NumberColumn
    st.dataframe(
        shown.assign(
            kind=shown["kind"].map({key: name for key, (name, _) in charts.KINDS.items()})
        ),
        column_order=["path", "kind", "out_size", "params", "gflops", "activations"],
        column_config={
            "path": st.column_config.TextColumn("Layer", width="medium", pinned=True),
            "kind": "Kind",
            "out_size": number_of("Output, px", format="%d"),
            "params": number_of("Params, M", format="%.4f"),
            "gflops": number_of("GFLOPs", format="%.4f"),
            "activations": number_of("Activations, M", format="%.4f"),
        },
        hide_index=True,
        height=420,
        placeholder=ABSENT,
        key="inside-cost-rows",
        alt="Table of every layer with its parameters, GFLOPs and activations.",
    )
