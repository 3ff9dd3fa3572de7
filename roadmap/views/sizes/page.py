"""Networks of every size: published accuracy against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from roadmap.charts import sizes as charts
from roadmap.find import store
from roadmap.find.sizes import Speeds, measured_speeds
from roadmap.tables import sizes
from roadmap.tables.results import ResultsError, read_rows
from roadmap.tables.sizes import PRETRAINING, TEST_SETS
from roadmap.text import ABSENT, change, number
from roadmap.views.common import address, figure, markup, turns
from roadmap.views.common.controls import segments, select

if TYPE_CHECKING:
    from pandas import DataFrame, Series

#: The page's choices by URL parameter, with the title of each value; ``_costs`` adds those of x.
CHOICES = {
    "y": TEST_SETS,
    "image": {"all": "All", "224": "224 px", "384": "384 px"},
    "pretraining": {"all": "All", **PRETRAINING},
}
TITLES = {"x": "Cost", "y": "Accuracy on", "image": "Image size", "pretraining": "Pre-training"}
#: Pixels of the lists; the finder's conditions are long.
WIDTHS = {"x": 280, "y": 190}
#: A network's figures: column, name, unit, decimals.
FIGURES = (
    *((key, name, "%", 1) for key, name in TEST_SETS.items()),
    ("gflops", "GFLOPs", "per image", 1),
    ("params", "Parameters", "M", 1),
    ("a100", "Speed, A100", "images/s", 0),
    ("v100", "Speed, V100", "images/s", 0),
    ("memory", "Peak memory", "GB", 2),
)


def show() -> None:
    """Show the whole page; everything interactive is in one fragment."""
    st.html(
        markup.opening(
            "Sizes",
            "The roadmap ends at ConvNeXt-T. Larger sizes use the same block in deeper and wider "
            "networks. Here they are compared with Swin, and with ResNet-50 under better recipes.",
        )
    )
    _explorer()


@st.cache_data(show_spinner=False)
def _published() -> DataFrame:
    return sizes.sizes_table()


def _table(found: list[Speeds]) -> DataFrame:
    """Return the published figures, and a column of images/s per condition of the finder."""
    table = _published().copy()
    places = list(zip(table["name"], table["image_size"], strict=True))
    for speeds in found:
        table[speeds.key] = [speeds.images_per_s.get(place, math.nan) for place in places]
    return table


def _costs(found: list[Speeds]) -> dict[str, charts.CostAxis]:
    """Return the horizontal axes: published costs, then the conditions of the finder."""
    measured = (
        charts.CostAxis(
            speeds.key,
            f"Images/s, {speeds.conditions}",
            f"Images/s, {speeds.conditions} (log scale)",
            "images/s",
            0,
            True,
        )
        for speeds in found
    )
    return charts.COSTS | {cost.column: cost for cost in measured}


@turns.fragment
def _explorer() -> None:
    problem = st.empty()
    found = measured_speeds(store.figures())
    costs = _costs(found)
    choices = {"x": {key: cost.name for key, cost in costs.items()}, **CHOICES}
    chosen, problems = _chosen(choices)
    table = _table(found)
    shown = _filtered(table, chosen)
    selected, unknown = _selected(table, shown)
    if problems or unknown:
        problem.html(markup.notice(" ".join([*problems, *unknown])))
    _controls(choices, chosen)
    left, right = st.columns([1.7, 1], gap="large")
    cost = costs[chosen["x"]]
    with right.container():
        _panel(table, selected, cost)
    with left.container():
        _chart(shown, cost, chosen["y"], selected)
    _rows(shown, cost)


Choices = Mapping[str, Mapping[str, str]]


def _chosen(choices: Choices) -> tuple[dict[str, str], list[str]]:
    """Return the value of each choice, and a sentence per invalid one in the URL."""
    found = {
        name: address.option(st.query_params, name, tuple(options))
        for name, options in choices.items()
    }
    chosen = {name: value for name, (value, _) in found.items()}
    return chosen, [problem for _, problem in found.values() if problem]


def _selected(table: DataFrame, shown: DataFrame) -> tuple[Series, list[str]]:
    """Return the row whose details are shown, by default the first in the chart: ConvNeXt-T."""
    keys = tuple(dict.fromkeys([*shown["key"], *table["key"]]))
    key, problem = address.option(st.query_params, "model", keys)
    return table[table["key"] == key].iloc[0], [problem] if problem else []


def _controls(choices: Choices, chosen: dict[str, str]) -> None:
    with st.container(horizontal=True, gap="medium", key="sizes-controls"):
        for name, options in choices.items():
            if name in ("x", "y"):
                select("sizes", name, TITLES[name], options, chosen[name], width=WIDTHS[name])
            else:
                segments("sizes", name, TITLES[name], options, chosen[name])


def _filtered(table: DataFrame, chosen: dict[str, str]) -> DataFrame:
    if chosen["image"] != "all":
        table = table[table["image_size"] == int(chosen["image"])]
    if chosen["pretraining"] != "all":
        table = table[table["pretraining"] == chosen["pretraining"]]
    return table


def _chart(table: DataFrame, cost: charts.CostAxis, test_set: str, selected: Series) -> None:
    drawn = table.dropna(subset=[cost.column, test_set])
    if drawn.empty:
        st.html(markup.notice("No network that matches these filters has figures for both axes."))
        return
    figure.clickable(
        charts.sizes_chart(table, cost, test_set, selected["key"]),
        drawn.drop(columns="key"),
        "sizes",
        _alt(drawn, cost, test_set),
        lambda chosen: st.query_params.update(model=chosen),
    )
    st.html(_legend(list(dict.fromkeys(drawn["family"]))))
    missing = len(table) - len(drawn)
    if missing:
        words = "network has" if missing == 1 else "networks have"
        text = f"{missing} {words} no figure for one of these axes."
        st.html(markup.paragraph(text, "faint"))


def _alt(table: DataFrame, cost: charts.CostAxis, test_set: str) -> str:
    front = sizes.pareto_front(table, cost.column, test_set, more_is_better=cost.more_is_better)
    points = "; ".join(
        f"{row['label']} {number(row[test_set], 1)}% at {number(row[cost.column], cost.decimals)}"
        for row in front.to_dict("records")
    )
    return (
        f"Scatter chart of {TEST_SETS[test_set]} top-1 accuracy in percent against {cost.name} "
        f"for {len(table)} networks. On the Pareto front: {points}."
    )


def _legend(families: list[str]) -> str:
    """Explain the symbol and color of each family, fill, area and the band."""
    marks = "".join(
        f'<span><i class="{charts.FAMILIES[name].symbol}" '
        f'style="background:{charts.FAMILIES[name].color}"></i>{name}</span>'
        for name in families
    )
    return (
        f'<p class="faint legend">{marks}</p>'
        '<p class="faint legend"><span><i class="full"></i>with ImageNet-22K</span>'
        '<span><i class="open"></i>ImageNet-1K only</span>'
        '<span><i class="band"></i>Pareto front</span></p>'
        + markup.paragraph(_memory_note(), "faint")
    )


@st.cache_data(show_spinner=False)
def _memory_note() -> str:
    """Explain the area of a mark, from the table of measurements."""
    try:
        row = read_rows("measured/memory")[0]
    except (ResultsError, IndexError):
        return "Click a mark for its figures."
    return (
        f"Area: peak memory of a forward pass ({row['device_name']}, {row['dtype']}, batch "
        f"{row['batch_size']}); the smallest marks were not measured. Click a mark for its figures."
    )


# The selected network


def _panel(table: DataFrame, row: Series, cost: charts.CostAxis) -> None:
    rival = _rival(table, row)
    _model_control(table, row["key"])
    conditions = [
        f"{row['image_size']} × {row['image_size']} pixels",
        f"{PRETRAINING[row['pretraining']]}"
        + (" pre-training" if row["pretraining"] == "in22k" else " only"),
    ]
    if row["recipe"]:
        conditions.append(f"recipe: {row['recipe']}")
    st.html(
        markup.heading(row["name"], 2, "step") + markup.paragraph(", ".join(conditions), "faint")
    )
    rows = []
    for column, name, unit, decimals in (*FIGURES, *_measured(cost)):
        other = rival[column] if rival is not None else None
        rows.append(
            (name, unit, number(row[column], decimals), change(row[column], other, decimals))
        )
    versus = f"vs. {rival['name']}" if rival is not None else ABSENT
    st.html(markup.figures_table(("Value", versus), rows))
    st.html(markup.paragraph(_source(row, rival), "faint"))


def _measured(cost: charts.CostAxis) -> tuple[tuple[str, str, str, int], ...]:
    """Return the chosen condition of the finder as one of ``FIGURES``; nothing for another axis."""
    if cost.column in charts.COSTS:
        return ()
    name = cost.name.replace("Images/s", "Speed")
    return ((cost.column, name, cost.unit, cost.decimals),)


def _model_control(table: DataFrame, key: str) -> None:
    """The keyboard equivalent of a click on a mark."""
    labels = dict(zip(table["key"], table["label"], strict=True))
    select("sizes", "model", "Network", labels, key, label_visibility="collapsed")


def _rival(table: DataFrame, row: Series) -> Series | None:
    """Return the network to compare with: ConvNeXt for Swin of the same size and conditions and
    vice versa; for ResNet-50 recipes, the first one."""
    family, _, size = row["name"].rpartition("-")
    if row["family"] == "ResNet":
        others = table[table["family"] == "ResNet"].sort_values("top1").head(1)
    else:
        name = f"Swin-{size}" if family == "ConvNeXt" else f"ConvNeXt-{size}"
        same = table[["image_size", "pretraining"]] == row[["image_size", "pretraining"]]
        others = table[(table["name"] == name) & same.all(axis=1)]
    others = others[others["key"] != row["key"]]
    return others.iloc[0] if len(others) else None


def _source(row: Series, rival: Series | None) -> str:
    top1 = "the paper's" if row["source"] == "paper" else "timm's"
    text = (
        f"ImageNet-1K top-1 is {top1}; the other test sets are timm's, and the speeds"
        " on A100 and V100 the paper's."
    )
    if row["key"] == "convnext-t":
        text += (
            " This is Table 1's figure; the roadmap's 81.97% is the mean of three runs in Table 10."
        )
    if rival is not None:
        recipe = f", {rival['recipe']}" if rival["recipe"] else ""
        text += (
            f" Compared with {rival['name']}{recipe} at the same image size and on the same data."
        )
    return text


# All rows

ROW = 35  # pixels


def _rows(table: DataFrame, cost: charts.CostAxis) -> None:
    st.html(
        markup.heading("All figures", 2, "section")
        + markup.paragraph(
            "Click a column name to sort; the choices above apply. Top-1 is in percent, speed in "
            "images/s.",
            "faint",
        )
    )
    columns = st.column_config
    number_of = columns.NumberColumn
    config: dict[str, Any] = {
        "label": columns.TextColumn("Network", width=160, pinned=True),
        "image_size": number_of("Image, px", format="%d"),
        "pretraining": columns.TextColumn("Trained on"),
        "params": number_of("Params, M", format="%.1f"),
        "gflops": number_of("GFLOPs", format="%.1f"),
        "a100": number_of("A100 speed", format="localized"),
        "v100": number_of("V100 speed", format="localized"),
        "memory": number_of("Memory, GB", format="%.2f"),
        **{
            key: number_of(name.replace("ImageNet-", "IN-"), format="%.1f")
            for key, name in TEST_SETS.items()
        },
        "source": columns.TextColumn("Top-1 from"),
    }
    measured = _measured(cost)
    config |= {column: number_of(name, format="localized") for column, name, *_ in measured}
    order = ["label", "image_size", "pretraining", *TEST_SETS, "params", "gflops", "a100", "v100"]
    names = {key: name.replace("ImageNet-", "") for key, name in PRETRAINING.items()}
    rows = table.assign(pretraining=table["pretraining"].map(names)).round(
        {"a100": 0, "v100": 0, **{column: decimals for column, *_, decimals in measured}}
    )
    st.dataframe(
        rows,
        column_order=[*order, *(column for column, *_ in measured), "memory", "source"],
        column_config=config,
        hide_index=True,
        height=min(560, ROW * (len(rows) + 1) + 3),
        placeholder=ABSENT,
        key="sizes-rows",
        alt="Table of every network with its figures.",
    )
