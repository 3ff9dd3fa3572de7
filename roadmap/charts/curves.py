"""Learning curves: one measure by epoch, as one line per seed or as mean and band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.ablation import LINES

if TYPE_CHECKING:
    from pandas import DataFrame

HEIGHT = 380
#: Up to this many epochs, each has a tick, and the whole curve is shown.
FEW = 10
#: Most steps that can be told apart in one chart.
MOST_STEPS = len(LINES)


@dataclass(frozen=True)
class Measure:
    """What a curve can show: name, axis title and number format."""

    name: str
    axis: str
    digits: str
    #: Start the axis at the lowest value after a third of the epochs, to tell the ends apart.
    late: bool = False


MEASURES = {
    "top1": Measure("Top-1", "Validation top-1, %", ".2f", late=True),
    "val_loss": Measure("Validation loss", "Validation loss", ".4f"),
    "train_loss": Measure("Training loss", "Training loss", ".4f"),
    "lr": Measure("Learning rate", "Learning rate", ".3g"),
}


def curves_chart(curves: DataFrame, name: str, *, by_seed: bool) -> go.Figure:
    """Plot measure ``name`` by epoch, with a color and dash per step (at most ``MOST_STEPS``).

    ``curves`` has one row per run and epoch with ``title``, ``seed``, ``epoch`` and ``value``.
    With ``by_seed``, each seed is a line; otherwise the line is the mean over seeds and a band
    spans the lowest to the highest seed.
    """
    measure = MEASURES[name]
    few = {"dtick": 1, "tickformat": "d"} if curves["epoch"].max() <= FEW else {}
    traces: list[go.Scatter] = []
    for place, (_, rows) in enumerate(curves.groupby("key", sort=False)):
        draw = _seeds if by_seed else _mean
        traces += draw(rows, measure, *LINES[place % len(LINES)])
    return go.Figure(
        traces,
        style.layout(
            HEIGHT,
            margin={"l": 56, "r": 12, "t": 12, "b": 46, "pad": 0},
            xaxis=style.axis("Epoch", fixedrange=True, automargin=False, **few),
            yaxis=style.axis(
                measure.axis, fixedrange=True, automargin=False, range=_span(curves, measure)
            ),
            hovermode="x unified",
            hoverlabel={"font": {"size": style.FONT_SIZE}},
        ),
    )


def _mean(rows: DataFrame, measure: Measure, color: str, dash: str) -> list[go.Scatter]:
    spread = rows.groupby("epoch")["value"].agg(["mean", "min", "max", "count"])
    epochs = [int(epoch) for epoch in spread.index]
    traces = []
    if spread["count"].max() > 1:
        traces.append(
            go.Scatter(
                x=epochs + epochs[::-1],
                y=[*spread["max"], *spread["min"][::-1]],
                fill="toself",
                fillcolor=_faint(color),
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
            )
        )
    title = rows["title"].iloc[0]
    return [*traces, _line(epochs, spread["mean"], title, measure, color, dash)]


def _seeds(rows: DataFrame, measure: Measure, color: str, dash: str) -> list[go.Scatter]:
    return [
        _line(
            line["epoch"],
            line["value"],
            f"{line['title'].iloc[0]}, seed {seed}",
            measure,
            color,
            dash,
            width=1.5,
        )
        for seed, line in rows.groupby("seed")
    ]


def _line(
    epochs: Any, values: Any, name: str, measure: Measure, color: str, dash: str, width: float = 2.5
) -> go.Scatter:
    # With a single epoch there would be no visible line.
    mode = "lines" if len(epochs) > 1 else "markers"
    return go.Scatter(
        x=[int(epoch) for epoch in epochs],
        y=[float(value) for value in values],
        mode=mode,
        name=name,
        line={"color": color, "dash": dash, "width": width},
        marker={"color": color, "size": 8},
        hovertemplate=f"{name}: %{{y:{measure.digits}}}<extra></extra>",
    )


def _span(curves: DataFrame, measure: Measure) -> tuple[float, float] | None:
    """Return the range from the lowest value after a third of the epochs; None for all."""
    if not measure.late or curves["epoch"].max() <= FEW:
        return None
    late = curves[curves["epoch"] > curves["epoch"].max() // 3]["value"]
    low, high = float(late.min()), float(curves["value"].max())
    room = 0.04 * ((high - low) or 1)
    return low - room, high + room


def _faint(color: str) -> str:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.18)"
