"""Learning curves to compare: one measure over the epochs, by seed or mean and band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.ablation import LINES

if TYPE_CHECKING:
    from pandas import DataFrame

HEIGHT = 380
#: Up to as many epochs each has a tick, and nothing of the curve is left out.
FEW = 10
#: Steps that can be told apart in one chart.
MOST_STEPS = len(LINES)


@dataclass(frozen=True)
class Measure:
    """What a curve can show: name, axis, and how a value is printed."""

    name: str
    axis: str
    digits: str
    #: Starts where the lowest curve is after a third of its epochs, so that ends can be told apart.
    late: bool = False


MEASURES = {
    "top1": Measure("Top-1", "Validation top-1, %", ".2f", late=True),
    "val_loss": Measure("Validation loss", "Validation loss", ".4f"),
    "train_loss": Measure("Training loss", "Training loss", ".4f"),
    "lr": Measure("Learning rate", "Learning rate", ".3g"),
}


def curves_chart(curves: DataFrame, name: str, *, by_seed: bool) -> go.Figure:
    """The measure ``name`` over the epochs: a color and dash a step (at most ``MOST_STEPS``).

    ``curves`` has a row a run and epoch with ``title``, ``seed``, ``epoch`` and ``value``. Each
    seed is a line, or with ``by_seed`` false their mean, in a band from the lowest to the highest.
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
    # Of a single epoch there is no line to see.
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
    """From the lowest curve after a third of the epochs to the highest point; None: all of it."""
    if not measure.late or curves["epoch"].max() <= FEW:
        return None
    late = curves[curves["epoch"] > curves["epoch"].max() // 3]["value"]
    low, high = float(late.min()), float(curves["value"].max())
    room = 0.04 * ((high - low) or 1)
    return low - room, high + room


def _faint(color: str) -> str:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.18)"
