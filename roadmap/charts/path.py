"""The roadmap as a path: accuracy against cost, with arrows from step to step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.bars import METRICS, Metric
from roadmap.charts.labels import place_labels
from roadmap.palette import GRAY
from roadmap.text import number

if TYPE_CHECKING:
    from pandas import DataFrame

HEIGHT = 500
#: Size of the plotting area, in pixels; labels do not overlap at this size or above.
AREA = (300, 400)
MARKER, SELECTED = 10, 15  # diameters in pixels
MARGIN = {"l": 48, "r": 16, "t": 16, "b": 42, "pad": 0}


def roadmap_path(
    table: DataFrame,
    cost: Metric = METRICS["gflops"],
    selected: str | None = None,
    reference: tuple[str, float, float] | None = None,
) -> go.Figure:
    """Plot top-1 against ``cost``: one numbered point per step, with arrows between them.

    ``table`` has one row per step with ``key``, ``title``, ``group``, ``adopted``, ``previous``
    (the key of the step it is compared with), ``top1`` and the cost's column; steps without one are
    left out. Steps that were not adopted have dotted arrows and hollow points. ``reference`` is a
    name, a cost and a top-1. A click carries the step's key as ``customdata``.
    """
    top1 = METRICS["top1"]
    numbers = {key: place + 1 for place, key in enumerate(table["key"])}
    table = table[table[cost.key].notna() & table["top1"].notna()]
    points = {
        str(row["key"]): (float(row[cost.key]), float(row["top1"])) for _, row in table.iterrows()
    }
    others = [reference[1:]] if reference else []
    x, y = zip(*points.values(), *others, strict=True)
    spans = style.span(x), style.span(y)
    return go.Figure(
        [
            *_legs(table, points),
            _points(table, points, cost, selected),
            *([_reference(*reference)] if reference else []),
        ],
        style.layout(
            HEIGHT,
            margin=MARGIN,
            xaxis=style.axis(cost.axis, range=spans[0]),
            yaxis=style.axis(top1.axis, range=spans[1]),
            annotations=[
                *_arrows(table, points),
                *_labels(points, numbers, spans, selected, reference),
            ],
        ),
    )


def _legs(table: DataFrame, points: dict[str, tuple[float, float]]) -> list[go.Scatter]:
    """Draw the arrows' lines: solid along the path, dotted to steps not adopted."""
    legs: dict[str, list[tuple[float | None, float | None]]] = {"solid": [], "dot": []}
    for _, row in table.iterrows():
        if row["previous"] in points:
            ends = points[row["previous"]], points[row["key"]], (None, None)
            legs["solid" if row["adopted"] else "dot"] += ends
    return [
        go.Scatter(
            x=[x for x, _ in ends],
            y=[y for _, y in ends],
            mode="lines",
            line={"color": GRAY, "width": 1.5, "dash": dash},
            hoverinfo="skip",
        )
        for dash, ends in legs.items()
        if ends
    ]


def _points(
    table: DataFrame, points: dict[str, tuple[float, float]], cost: Metric, selected: str | None
) -> go.Scatter:
    sizes = [SELECTED if key == selected else MARKER for key in table["key"]]
    return go.Scatter(
        x=[points[key][0] for key in table["key"]],
        y=[points[key][1] for key in table["key"]],
        mode="markers",
        customdata=list(table["key"]),
        selectedpoints=[place for place, key in enumerate(table["key"]) if key == selected],
        text=[
            f"<b>{title}</b><br>{number(y, 2)}% top-1<br>{number(x, cost.decimals)} {cost.unit}"
            for title, (x, y) in zip(
                table["title"], (points[key] for key in table["key"]), strict=True
            )
        ],
        hovertemplate="%{text}<extra></extra>",
        marker=style.step_marker(table, sizes),
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )


def _reference(name: str, x: float, y: float) -> go.Scatter:
    return go.Scatter(
        x=[x],
        y=[y],
        mode="markers",
        marker={"symbol": "diamond", "size": 11, "color": GRAY},
        hovertemplate=f"<b>{name}</b><br>{number(y, 2)}% top-1<extra></extra>",
    )


def _arrows(table: DataFrame, points: dict[str, tuple[float, float]]) -> list[dict[str, Any]]:
    """Draw the arrowheads."""
    return [
        {
            "x": points[row["key"]][0],
            "y": points[row["key"]][1],
            "ax": points[row["previous"]][0],
            "ay": points[row["previous"]][1],
            "axref": "x",
            "ayref": "y",
            "text": "",
            "showarrow": True,
            "arrowhead": 2,
            "arrowsize": 1.1,
            "arrowwidth": 1.5,
            "arrowcolor": GRAY if row["adopted"] else style.CLEAR,
            "standoff": MARKER / 2 + 1,
        }
        for _, row in table.iterrows()
        if row["previous"] in points
    ]


def _labels(
    points: dict[str, tuple[float, float]],
    numbers: dict[str, int],
    spans: tuple[tuple[float, float], tuple[float, float]],
    selected: str | None,
    reference: tuple[str, float, float] | None,
) -> list[dict[str, Any]]:
    """Label each step's point with its number, and the reference's with its name."""
    texts = {key: str(numbers[key]) for key in points}
    places = dict(points)
    if reference:
        texts["reference"], places["reference"] = reference[0], reference[1:]
    keys = list(places)
    shifts = place_labels(
        [places[key] for key in keys], [texts[key] for key in keys], spans=spans, area=AREA
    )
    return [
        style.note(
            f"<b>{texts[key]}</b>" if key == selected else texts[key],
            *places[key],
            xshift=right,
            yshift=up,
        )
        for key, (right, up) in zip(keys, shifts, strict=True)
    ]
