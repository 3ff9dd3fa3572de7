"""Charts of one run in progress, over earlier runs: training loss, and top-1 by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.palette import BLUE, GRAY

HEIGHT = 190
#: Up to this many values, a curve also has a marker for each.
FEW = 15

Role = Literal["now", "earlier", "before"]
#: Width, dash and opacity of a curve: this run, earlier seeds of its step, the step before.
LINES: dict[Role, tuple[float, str, float]] = {
    "before": (1.5, "dash", 0.45),
    "earlier": (1.5, "solid", 0.75),
    "now": (2.5, "solid", 1.0),
}


class Curve(NamedTuple):
    """The ``values`` of one run, at ``epochs`` (fractions within an epoch)."""

    name: str
    role: Role
    epochs: Sequence[float]
    values: Sequence[float]


def live_chart(
    curves: Sequence[Curve], epochs: int, axis: str, decimals: int, *, zoomed: bool = False
) -> go.Figure:
    """Plot ``curves`` over a run of ``epochs``, this run on top; ``axis`` names the values.

    A ``zoomed`` chart leaves out the values of the steep first quarter once this run is past it.
    """
    order = list(LINES)
    drawn = sorted(curves, key=lambda curve: order.index(curve.role))
    return go.Figure(
        [_line(curve, decimals) for curve in drawn if curve.values],
        style.layout(
            HEIGHT,
            margin={"l": 44, "r": 8, "t": 8, "b": 38, "pad": 0},
            xaxis=style.axis(
                "Epoch", fixedrange=True, automargin=False, range=[0, 1.02 * epochs], nticks=6
            ),
            yaxis=style.axis(
                axis,
                fixedrange=True,
                automargin=False,
                nticks=5,
                range=_range(drawn, epochs) if zoomed else None,
            ),
            hoverlabel={"font": {"size": style.FONT_SIZE}},
        ),
    )


def _range(curves: Sequence[Curve], epochs: int) -> list[float] | None:
    """Return the range of the values after the first quarter; None before this run is there."""
    values = [
        value
        for curve in curves
        for epoch, value in zip(curve.epochs, curve.values, strict=True)
        if epoch > epochs / 4
    ]
    reached = max((max(c.epochs, default=0) for c in curves if c.role == "now"), default=0)
    if not values or reached <= epochs / 4:
        return None
    margin = 0.08 * (max(values) - min(values)) or 1
    return [min(values) - margin, max(values) + margin]


def _line(curve: Curve, decimals: int) -> go.Scatter:
    width, dash, opacity = LINES[curve.role]
    color = BLUE if curve.role == "now" else GRAY
    few = len(curve.values) == 1 or (curve.role == "now" and len(curve.values) <= FEW)
    return go.Scatter(
        x=list(curve.epochs),
        y=list(curve.values),
        mode="lines+markers" if few else "lines",
        name=curve.name,
        line={"color": color, "dash": dash, "width": width},
        marker={"color": color, "size": 5},
        opacity=opacity,
        hovertemplate=f"{curve.name}: %{{y:.{decimals}f}}<extra></extra>",
    )
