"""Training recipes: learning rates over time, and the gain of each change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.rows import text_axis
from roadmap.palette import BLUE, CYAN, GRAY, ORANGE
from roadmap.text import change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas import DataFrame

#: Color, dash and width of each line, in order. Lines may coincide: the wide one is then visible on
#: both sides of the dashed one.
LINES = ((GRAY, "dash", 2.5), (CYAN, "solid", 6), (ORANGE, "dot", 2.5), (BLUE, "solid", 2.5))
ROW = 30  # pixels
GAIN_LEFT, GAIN_RIGHT, GAIN_TOP, GAIN_BOTTOM = 152, 54, 30, 42


def schedules(table: DataFrame, titles: Mapping[str, str], *, relative: bool = False) -> go.Figure:
    """Plot the learning rate over a run, with one line per recipe.

    ``table`` has ``recipe``, ``epoch``, ``share`` (of the run, 0 to 1) and ``rate``, as from
    ``schedule_table``; ``titles`` names the recipes. With ``relative``, each rate is divided by its
    maximum and plotted against the share of the run; otherwise rates are plotted against epochs on
    a log scale.
    """
    x, end = ("share", 100.0) if relative else ("epoch", float(table["epoch"].max()))
    lines = []
    for (color, dash, width), (recipe, rows) in zip(
        LINES, table.groupby("recipe", sort=False), strict=False
    ):
        rate = rows["rate"] / rows["rate"].max() if relative else rows["rate"]
        lines.append(
            go.Scatter(
                x=list(rows[x] * (100 if relative else 1)),
                y=list(rate),
                mode="lines",
                name=titles[recipe],
                line={"color": color, "width": width, "dash": dash, "simplify": False},
                hovertemplate="%{x:.0f}: %{y:.3g}<extra>" + titles[recipe] + "</extra>",
            )
        )
    rates: dict[str, Any] = (
        {"range": [-0.03, 1.06]}
        if relative
        else {"type": "log", "range": [-4.3, 0], **_powers(range(-4, 1))}
    )
    return go.Figure(
        lines,
        style.layout(
            380,
            margin={"l": 56, "r": 14, "t": 10, "b": 46, "pad": 0},
            xaxis=style.axis(
                "Share of the run, %" if relative else "Epoch", range=[-0.01 * end, 1.01 * end]
            ),
            yaxis=style.axis(
                "Learning rate / maximum" if relative else "Learning rate (log scale)", **rates
            ),
        ),
    )


def _powers(exponents: range) -> dict[str, Any]:
    return {
        "tickmode": "array",
        "tickvals": [10.0**power for power in exponents],
        "ticktext": [f"10<sup>{power}</sup>".replace("-", "−") for power in exponents],
    }


def gains(table: DataFrame) -> go.Figure:
    """Draw a waterfall of top-1: the gain of each change over the one before.

    ``table`` is from ``roadmap_table``, with ``title``, ``group`` and ``top1`` (percent); the first
    row is the start, a dot, since a bar from the cut axis would have no meaning. A column at the
    right prints the change.
    """
    top1, titles = [float(value) for value in table["top1"]], list(table["title"])
    places = list(range(len(top1)))
    low, high = min(top1) - 0.4, max(top1) + 0.15
    before = [top1[0], *top1[:-1]]
    colors = style.colors(table)
    added = ["", *(change(now, old, 2) for now, old in zip(top1[1:], top1, strict=False))]
    span = (len(places) - 0.4, -0.6)  # downwards
    return go.Figure(
        [
            go.Bar(
                base=before,
                x=[now - old for now, old in zip(top1, before, strict=True)],
                y=places,
                width=0.62,
                orientation="h",
                marker={"color": colors},
                text=[f"{title}: {gain}" for title, gain in zip(titles, added, strict=True)],
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            ),
            _steps(top1, places),
            _start(top1[0], titles[0], colors[0]),
            *(go.Scatter(x=[None], y=[None], yaxis=axis) for axis in ("y2", "y3")),
        ],
        style.layout(
            len(top1) * ROW + GAIN_TOP + GAIN_BOTTOM,
            margin={"l": GAIN_LEFT, "r": GAIN_RIGHT, "t": GAIN_TOP, "b": GAIN_BOTTOM, "pad": 0},
            barmode="overlay",
            xaxis=style.axis("ImageNet-1K top-1 accuracy, %", range=[low, high], nticks=5),
            yaxis={"range": list(span), "fixedrange": True, "visible": False},
            yaxis2=text_axis(places, titles, span, 0, -GAIN_LEFT, "right"),
            yaxis3=text_axis(places, added, span, 1, 50, "left"),
            annotations=[
                style.note("Change", 1, 1, **style.ABOVE, xanchor="right", xshift=50),
            ],
        ),
    )


def _start(top1: float, title: str, color: str) -> go.Scatter:
    return go.Scatter(
        x=[top1],
        y=[0],
        mode="markers",
        marker={"color": color, "size": 12},
        hovertemplate=f"{title}: {top1:.2f}%<extra></extra>",
    )


def _steps(top1: list[float], places: list[int]) -> go.Scatter:
    """Draw thin lines from the end of a bar down to the start of the next."""
    x: list[float | None] = []
    y: list[float | None] = []
    for value, place in zip(top1[:-1], places[:-1], strict=True):
        x += [value, value, None]
        y += [place + 0.31, place + 0.69, None]
    line = {"color": GRAY, "width": 1}
    return go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip")
