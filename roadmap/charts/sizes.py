"""Accuracy against cost for networks of every size: bubbles in front of the Pareto front."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.names import WIDTHS, Plot, name_points
from roadmap.palette import BLUE, CYAN, GRAY, ORANGE, PLUM
from roadmap.tables.sizes import TEST_SETS, pareto_front
from roadmap.text import number

if TYPE_CHECKING:
    from pandas import DataFrame

HEIGHT = 520
#: Ticks on the axis of cost, at least, and the share of the axis between two of them.
FEWEST_TICKS, TICKS_APART = 3, 0.12
MARGIN = {"l": 48, "r": 14, "t": 12, "b": 46, "pad": 0}
#: Diameters in pixels: for ``MEMORY`` GB, the smallest, and for marks without a figure.
LARGEST, LEAST, UNMEASURED, MEMORY = 30, 8, 8, 2.5


@dataclass(frozen=True)
class FamilyMarker:
    """How a family is drawn: color and symbol, so that color is not the only cue."""

    color: str
    symbol: str


FAMILIES = {
    "ConvNeXt": FamilyMarker(BLUE, "circle"),
    "ConvNeXt V2": FamilyMarker(CYAN, "triangle-up"),
    "Swin": FamilyMarker(ORANGE, "diamond"),
    "ResNet": FamilyMarker(PLUM, "square"),
}


@dataclass(frozen=True)
class CostAxis:
    """What the horizontal axis can show: the table's column, and the axis title with its unit."""

    column: str
    name: str
    axis: str
    unit: str
    decimals: int
    more_is_better: bool = False


COSTS = {
    cost.column: cost
    for cost in (
        CostAxis("gflops", "GFLOPs", "GFLOPs per image (log scale)", "GFLOPs", 1),
        CostAxis("params", "Parameters", "Parameters, million (log scale)", "M parameters", 0),
        CostAxis("a100", "Images/s, A100", "Images/s on an A100 (log scale)", "images/s", 0, True),
        CostAxis("v100", "Images/s, V100", "Images/s on a V100 (log scale)", "images/s", 0, True),
    )
}


def sizes_chart(
    table: DataFrame, cost: CostAxis = COSTS["gflops"], test_set: str = "top1", selected: str = ""
) -> go.Figure:
    """Plot top-1 on ``test_set`` (a column of ``sizes_table``) against ``cost``, on a log scale.

    Each row is a mark; rows without one of the figures are left out. Thin lines join the sizes of a
    family with the same image size and pre-training; a gray band is the Pareto front. Marks are
    filled if the network was pre-trained on ImageNet-22K; their area is ``memory``. ``selected`` is
    a row's ``key``; a click carries it as ``customdata``. At least one row must have both figures.
    """
    table = table.dropna(subset=[cost.column, test_set])
    front = pareto_front(table, cost.column, test_set, more_is_better=cost.more_is_better)
    spans = _spans(table, cost, test_set)
    return go.Figure(
        [
            *style.front_line(front[cost.column], front[test_set]),
            *_series(table, cost, test_set),
            *(
                _marks(table, name, cost, test_set)
                for name in FAMILIES
                if (table["family"] == name).any()
            ),
            _ring(table[table["key"] == selected], cost, test_set),
        ],
        style.layout(
            HEIGHT,
            margin=MARGIN,
            xaxis=log_axis(cost.axis, spans[0]),
            yaxis=style.axis(f"{TEST_SETS[test_set]} top-1 accuracy, %", range=spans[1]),
            annotations=_names(table, front, cost, test_set, spans),
        ),
    )


Span = tuple[float, float]


def _spans(table: DataFrame, cost: CostAxis, test_set: str) -> tuple[Span, Span]:
    """Return the ranges of both axes with room for the marks; the first in log10."""
    spans = []
    for values in (table[cost.column].map(math.log10), table[test_set]):
        low, high = float(values.min()), float(values.max())
        room = 0.08 * ((high - low) or 1)
        spans.append((low - room, high + room))
    return spans[0], spans[1]


def log_axis(title: str, span: Span) -> dict[str, Any]:
    """Place ticks at 1, 2 and 5 times powers of ten, and at more if few would be seen.

    Ticks whose labels would touch in the narrowest chart are left out, those of 1, 2 and 5 last.
    """
    powers = range(math.floor(span[0]), math.ceil(span[1]))
    ticks: list[float] = []
    for digits in ((1, 2, 5), (3, 1.5, 4, 7, 2.5, 6, 8, 9)):
        for tick in (digit * 10**power for digit in digits for power in powers):
            at = math.log10(tick)
            apart = min((abs(at - math.log10(other)) for other in ticks), default=math.inf)
            if span[0] <= at <= span[1] and apart >= TICKS_APART * (span[1] - span[0]):
                ticks.append(tick)
        if len(ticks) >= FEWEST_TICKS:
            break
    ticks.sort()
    return style.axis(
        title,
        type="log",
        range=span,
        tickmode="array",
        tickvals=ticks,
        ticktext=[f"{tick:,g}" for tick in ticks],
    )


def _series(table: DataFrame, cost: CostAxis, test_set: str) -> list[go.Scatter]:
    """Draw thin lines along the sizes of a family under the same conditions."""
    lines = []
    for (name, pretraining, _), rows in table.groupby(["family", "pretraining", "image_size"]):
        if name == "ResNet":  # recipes for one network, not sizes
            continue
        rows = rows.sort_values("params")
        lines.append(
            go.Scatter(
                x=list(rows[cost.column]),
                y=list(rows[test_set]),
                mode="lines",
                line={
                    "color": FAMILIES[name].color,
                    "width": 1.25,
                    "dash": "solid" if pretraining == "in22k" else "dot",
                },
                hoverinfo="skip",
            )
        )
    return lines


def _marks(table: DataFrame, name: str, cost: CostAxis, test_set: str) -> go.Scatter:
    rows, drawn = table[table["family"] == name], FAMILIES[name]
    filled = rows["pretraining"] == "in22k"
    return go.Scatter(
        x=list(rows[cost.column]),
        y=list(rows[test_set]),
        mode="markers",
        name=name,
        customdata=list(rows["key"]),
        text=[_hover(row, cost, test_set) for row in rows.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
        marker={
            "symbol": drawn.symbol,
            "size": [bubble(memory) for memory in rows["memory"]],
            "color": [style.faded(drawn.color, 0.55 if full else 0.08) for full in filled],
            "line": {"color": drawn.color, "width": 2},
            "opacity": 1,
        },
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )


def bubble(memory: float) -> float:
    """Return the diameter for ``memory`` in GB; the area is proportional, with a minimum."""
    if memory != memory:
        return UNMEASURED
    return max(LARGEST * math.sqrt(memory / MEMORY), LEAST)


def _hover(row: dict[str, Any], cost: CostAxis, test_set: str) -> str:
    lines = [
        f"<b>{row['label']}</b>",
        f"{number(row[test_set], 1)}% top-1",
        f"{number(row[cost.column], cost.decimals)} {cost.unit}",
    ]
    if row["memory"] == row["memory"]:
        lines.append(f"{number(row['memory'], 2)} GB")
    return "<br>".join(lines)


def _ring(chosen: DataFrame, cost: CostAxis, test_set: str) -> go.Scatter:
    """Draw a ring around the selected mark."""
    return go.Scatter(
        x=list(chosen[cost.column]),
        y=list(chosen[test_set]),
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": [bubble(memory) + 12 for memory in chosen["memory"]],
            "color": GRAY,
            "line": {"width": 3},
        },
        hoverinfo="skip",
    )


def _names(
    table: DataFrame, front: DataFrame, cost: CostAxis, test_set: str, spans: tuple[Span, Span]
) -> list[dict[str, Any]]:
    """Name the front and each family's best network where there is room, the front first."""
    best = table.sort_values(test_set, ascending=False).drop_duplicates("family")
    best = best[~best["key"].isin(front["key"])]
    others = table[~table["key"].isin([*front["key"], *best["key"]])]
    curve = front.sort_values(test_set, ascending=False).to_dict("records")
    named = [*curve, *best.to_dict("records")]
    rows = [*named, *others.to_dict("records")]
    points = [(math.log10(row[cost.column]), row[test_set]) for row in rows]
    return name_points(
        points,
        [bubble(row["memory"]) / 2 for row in rows],
        [short_label(row) for row in named],
        Plot(spans, areas(HEIGHT), points[: len(curve)]),
    )


def areas(height: int) -> list[tuple[int, int]]:
    """Return sizes in pixels of the plotting area of a chart of ``height``."""
    return [(width, height - MARGIN["t"] - MARGIN["b"]) for width in WIDTHS]


def short_label(row: dict[str, Any]) -> str:
    """Return the name, plus the image size if it is not 224."""
    return row["name"] if row["image_size"] == 224 else f"{row['name']} {row['image_size']}"
