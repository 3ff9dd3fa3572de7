"""Learning curves: one measure by epoch, as mean and band, one line per seed, or small panels.

Each function takes ``roadmap.analysis.table.curve_table``, with at least one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.palette import BLUE, BROWN, CYAN, GRAY, ORANGE, PLUM

if TYPE_CHECKING:
    from pandas import DataFrame, Series

HEIGHT, PANEL_HEIGHT = 380, 250
#: Up to this many epochs, each has a tick, and the whole curve is shown.
FEW = 10
#: Color and dash of each line, in order.
STYLES = (
    (BLUE, "solid"),
    (ORANGE, "solid"),
    (CYAN, "dash"),
    (PLUM, "dash"),
    (BROWN, "dot"),
)
#: Most steps that can be told apart in one chart.
MOST_STEPS = len(STYLES)
#: A short sample of each dash, shown before the curve's name.
MARKS = {"solid": "━", "dash": "╍", "dot": "┅"}
#: A panel's width for names, the smallest distance between two, and its other margins, in pixels.
NAME_WIDTH, NAME_GAP = 158, 15
PANEL_TOP, PANEL_BOTTOM = 10, 40


@dataclass(frozen=True)
class Measure:
    """What a curve can show: name, axis title and number format."""

    name: str
    axis: str
    format: str


MEASURES = {
    "top1": Measure("Top-1", "Validation top-1, %", ".2f"),
    "val_loss": Measure("Validation loss", "Validation loss", ".4f"),
    "train_loss": Measure("Training loss", "Training loss", ".4f"),
    "lr": Measure("Learning rate", "Learning rate", ".3g"),
}


def curves_chart(curves: DataFrame, name: str, *, by_seed: bool) -> go.Figure:
    """Plot measure ``name`` by epoch, with a color and dash per step (at most ``MOST_STEPS``).

    With ``by_seed``, each seed is a line; otherwise the line is the mean over seeds and a band
    spans the lowest to the highest seed.
    """
    measure = MEASURES[name]
    few = {"dtick": 1, "tickformat": "d"} if curves["epoch"].max() <= FEW else {}
    traces: list[go.Scatter] = []
    for place, (_, rows) in enumerate(curves.groupby("key", sort=False)):
        draw = _seeds if by_seed else _mean
        traces += draw(rows, measure, *STYLES[place % len(STYLES)])
    return go.Figure(
        traces,
        style.layout(
            HEIGHT,
            margin={"l": 56, "r": 12, "t": 12, "b": 46, "pad": 0},
            xaxis=style.axis("Epoch", rangemode="tozero", **few),
            yaxis=style.axis(measure.axis, rangemode="tozero"),
            hovermode="x unified",
        ),
    )


def learning_curves(curves: DataFrame, group: str) -> go.Figure:
    """Plot mean top-1 by epoch for the steps of ``group``, named at their ends; others are gray."""
    measure = MEASURES["top1"]
    means = mean_curves(curves)
    shown = means[means["group"] == group]
    span = (0.0, 1.04 * float(means["value"].max() or 1))
    ends = [
        (rows["title"].iloc[0], float(rows["value"].iloc[-1]))
        for _, rows in shown.groupby("key", sort=False)
    ]
    return go.Figure(
        [
            *(
                _line(rows, "", measure, GRAY, "solid", 1).update(opacity=0.35, hoverinfo="skip")
                for _, rows in means[means["group"] != group].groupby("key", sort=False)
            ),
            *(
                _line(rows, rows["title"].iloc[0], measure, *STYLES[place % len(STYLES)])
                for place, (_, rows) in enumerate(shown.groupby("key", sort=False))
            ),
        ],
        style.layout(
            PANEL_HEIGHT,
            margin={"l": 36, "r": NAME_WIDTH, "t": PANEL_TOP, "b": PANEL_BOTTOM, "pad": 0},
            xaxis=style.axis("Epoch", rangemode="tozero", nticks=4),
            yaxis=style.axis("", range=span),
            annotations=_name_labels(ends, span),
        ),
    )


def mean_curves(curves: DataFrame) -> DataFrame:
    """Return the mean over seeds: one row per step and epoch, with ``value`` and its ``count``,
    ``min`` and ``max``."""
    steps = curves.groupby(["key", "title", "group", "epoch"], sort=False)["value"]
    return (
        steps.agg(["mean", "min", "max", "count"]).reset_index().rename(columns={"mean": "value"})
    )


def _mean(rows: DataFrame, measure: Measure, color: str, dash: str) -> list[go.Scatter]:
    means = mean_curves(rows)
    line = _line(means, rows["title"].iloc[0], measure, color, dash)
    if means["count"].max() == 1:
        return [line]
    epochs = list(means["epoch"])
    band = go.Scatter(
        x=epochs + epochs[::-1],
        y=[*means["max"], *means["min"][::-1]],
        fill="toself",
        fillcolor=style.faded(color, 0.18),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )
    return [band, line]


def _seeds(rows: DataFrame, measure: Measure, color: str, dash: str) -> list[go.Scatter]:
    title = rows["title"].iloc[0]
    return [
        _line(line, f"{title}, seed {seed}", measure, color, dash, width=1.5)
        for seed, line in rows.groupby("seed")
    ]


def _line(
    rows: DataFrame, name: str, measure: Measure, color: str, dash: str, width: float = 2.5
) -> go.Scatter:
    # With a single epoch there would be no visible line.
    mode = "lines" if len(rows) > 1 else "markers"
    return go.Scatter(
        x=_numbers(rows["epoch"]),
        y=_numbers(rows["value"]),
        mode=mode,
        name=name,
        line={"color": color, "dash": dash, "width": width},
        marker={"color": color, "size": 8},
        hovertemplate=f"{name}: %{{y:{measure.format}}}<extra></extra>",
    )


def _numbers(values: Series[Any]) -> list[float]:
    """Return plain numbers, which Plotly writes shorter than NumPy's arrays."""
    return [value.item() for value in values.to_numpy()]


def _name_labels(
    ends: Sequence[tuple[str, float]], span: tuple[float, float]
) -> list[dict[str, Any]]:
    """Write each curve's name at the height of its end, shifted where names would overlap."""
    top = PANEL_HEIGHT - PANEL_TOP - PANEL_BOTTOM
    scale = top / (span[1] - span[0])
    order = sorted(range(len(ends)), key=lambda place: ends[place][1])
    heights = spread([scale * (ends[place][1] - span[0]) for place in order], NAME_GAP, top)
    labels = []
    for place, height in zip(order, heights, strict=True):
        color, dash = STYLES[place % len(STYLES)]
        labels.append(
            style.note(
                f"<span style='color:{color}'>{MARKS[dash]}</span> {ends[place][0]}",
                1,
                span[0] + height / scale,
                xref="paper",
                xanchor="left",
                xshift=4,
                yanchor="middle",
            )
        )
    return labels


def spread(heights: Sequence[float], distance: float, top: float) -> list[float]:
    """Shift rising ``heights`` as little as possible to be ``distance`` apart and below ``top``."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + distance) if placed else height)
    bound = top
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], bound)
        bound = placed[place] - distance
    return placed
