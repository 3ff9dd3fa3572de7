"""A trained roadmap: accuracies and changes with intervals, and their costs.

Each function takes ``roadmap.analysis.table.ablation_table`` or some of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.analysis.verdict import GAIN, INCONCLUSIVE, LOSS, UNTESTED
from roadmap.charts import style
from roadmap.charts.bars import METRICS, Metric, roadmap_bars
from roadmap.charts.labels import place_labels
from roadmap.charts.rows import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    VALUE,
    column_names,
    columns,
    pixels,
    row_places,
)
from roadmap.palette import BLUE, GRAY, ORANGE
from roadmap.text import data_title, number, p_value, signed

if TYPE_CHECKING:
    from pandas import DataFrame

PAPER = Metric(key="paper_top1", name="Publ. %", axis="", unit="%", decimals=2)
#: Costs to plot accuracy against; ``with_time`` adds the last three.
COSTS = {
    "gflops": METRICS["gflops"],
    "seconds": Metric(key="seconds", name="s", axis="Training, seconds", unit="s", decimals=0),
    "minutes": Metric(key="minutes", name="min", axis="Training, minutes", unit="min", decimals=1),
    "hours": Metric(key="hours", name="h", axis="Training, hours", unit="h", decimals=1),
}
SCATTER_HEIGHT = 380
#: Size of the scatter's plotting area, in pixels; labels do not overlap at this size or above.
AREA = (290, 320)
#: Most lines of text between a step's number and its point.
REACH = 3


@dataclass(frozen=True)
class Sign:
    """How a verdict is drawn: color, symbol and fill, so that color is not the only cue."""

    color: str
    symbol: str


#: By ``verdict``, as in the rows of ``roadmap.analysis.table``.
SIGNS = {
    GAIN: Sign(BLUE, "circle"),
    LOSS: Sign(ORANGE, "square"),
    INCONCLUSIVE: Sign(GRAY, "circle-open"),
    UNTESTED: Sign(GRAY, "x-thin"),
}


def trained_dots(table: DataFrame) -> go.Figure:
    """Draw one dot per step: mean top-1 over seeds, with whiskers for 95% intervals.

    Whiskers end at 0 and 100. The second column has the published top-1 on ImageNet-1K. ``table``
    has ``data``, ``key``, ``title``, ``group``, ``adopted``, ``previous``, ``top1``, ``top1_low``,
    ``top1_high`` and ``paper_top1``.
    """
    trained = Metric(
        key="top1", name="Here %", axis=_top1_on(table), unit="%", decimals=2, from_zero=False
    )
    return roadmap_bars(_possible(table), trained, second=PAPER)


def _top1_on(table: DataFrame) -> str:
    return f"Top-1 on {data_title(table['data'].iloc[0])}, %"


def _possible(table: DataFrame) -> DataFrame:
    """Clip intervals to 0 and 100: with two seeds they may be far wider."""
    return table.assign(**{end: table[end].clip(0, 100) for end in ("top1_low", "top1_high")})


def change_intervals(table: DataFrame, *, p_values: bool = True) -> go.Figure:
    """Draw one row per step: the change from the previous step in points, with its 95% interval.

    ``table`` has ``title``, ``group``, ``change``, ``change_low``, ``change_high``, ``p_holm``,
    ``verdict`` and ``paper_change``, with at least one change; steps without one are left out.
    ``SIGNS`` gives marks and colors; a thin diamond is the published change on ImageNet-1K. Without
    the column of ``p_values``, intervals have room on a phone; p is then shown under the pointer.
    """
    table = table[table["change"].notna()]
    places, headers, height = row_places(list(table["group"]))
    printed = {"Change": [signed(value, 2) for value in table["change"]]}
    if p_values:
        printed["p, Holm"] = [p_value(value) for value in table["p_holm"]]
    return go.Figure(
        [
            *_intervals(table, places, with_p=not p_values),
            _paper_changes(table, places),
            *(go.Scatter(x=[None], y=[None], yaxis=f"y{2 + i}") for i in range(1 + len(printed))),
        ],
        style.layout(
            pixels(height),
            margin={
                "l": LEFT,
                "r": RIGHT if p_values else VALUE,
                "t": TOP,
                "b": BOTTOM,
                "pad": 0,
            },
            xaxis=style.axis("Change, points of top-1", range=_reach(table)),
            yaxis={"range": [height, 0], "fixedrange": True, "visible": False},
            shapes=[_zero_line()],
            annotations=column_names(list(printed)),
            **columns(
                list(table["title"]),
                list(printed.values()),
                places,
                headers,
                height,
            ),
        ),
    )


def accuracy_against(table: DataFrame, cost: Metric = COSTS["gflops"]) -> go.Figure:
    """Plot mean top-1 with its 95% interval against ``cost``: one numbered point per step.

    ``table`` has all steps in order, with ``number`` (the step's place on its roadmap), ``title``,
    ``group``, ``adopted``, ``top1``, ``top1_low``, ``top1_high``, ``data`` and the cost's column;
    rows without a cost are left out.
    """
    table = _possible(table[table[cost.key].notna()])
    points = [(float(x), float(y)) for x, y in zip(table[cost.key], table["top1"], strict=True)]
    ends = table[["top1_low", "top1_high"]].apply(lambda end: end.fillna(table["top1"]))
    bars = [(float(low), float(high)) for low, high in ends.itertuples(index=False)]
    spans = (
        style.span([x for x, _ in points]),
        style.span([value for bar in bars for value in bar]),
    )
    return go.Figure(
        [_whiskers(points, bars), _points(table, points, cost)],
        style.layout(
            SCATTER_HEIGHT,
            margin={"l": 48, "r": 12, "t": 12, "b": 46, "pad": 0},
            xaxis=style.axis(cost.axis, range=spans[0]),
            yaxis=style.axis(_top1_on(table), range=spans[1]),
            annotations=_numbers(points, [f"{n:.0f}" for n in table["number"]], spans, bars),
        ),
    )


def with_time(table: DataFrame) -> tuple[DataFrame, Metric]:
    """Return ``table`` with ``minutes`` and ``hours`` added, and the metric with the best unit."""
    table = table.assign(minutes=table["seconds"] / 60, hours=table["seconds"] / 3600)
    most = float(table["seconds"].max())
    return table, COSTS["hours" if most > 7200 else "minutes" if most > 180 else "seconds"]


def _intervals(table: DataFrame, places: Sequence[float], *, with_p: bool) -> list[go.Scatter]:
    """Draw the interval as a line and the change as a point, in the verdict's color.

    ``with_p`` shows p under the pointer, too.
    """
    traces = []
    for place, (_, row) in zip(places, table.iterrows(), strict=True):
        sign = SIGNS[row["verdict"]]
        words = f"<b>{row['title']}</b><br>{signed(row['change'], 2)} points, {row['verdict']}"
        if with_p:
            words += f"<br>p (Holm): {p_value(row['p_holm'])}"
        traces.append(
            go.Scatter(
                x=[row["change_low"], row["change_high"]],
                y=[place, place],
                mode="lines",
                line={"color": sign.color, "width": 2.5},
                hoverinfo="skip",
            )
        )
        traces.append(
            go.Scatter(
                x=[row["change"]],
                y=[place],
                mode="markers",
                marker={
                    "symbol": sign.symbol,
                    "size": 9,
                    "color": sign.color,
                    "line": {"width": 2, "color": sign.color},
                },
                hovertemplate=f"{words}<extra></extra>",
            )
        )
    return traces


def _paper_changes(table: DataFrame, places: Sequence[float]) -> go.Scatter:
    return go.Scatter(
        x=[float(value) for value in table["paper_change"]],
        y=list(places),
        mode="markers",
        marker={
            "symbol": "diamond-tall-open",
            "size": 9,
            "color": GRAY,
            "line": {"width": 1.25, "color": GRAY},
        },
        hovertemplate="%{x:+.2f} published<extra></extra>",
    )


def _reach(table: DataFrame) -> tuple[float, float]:
    """Return the range of all drawn values."""
    drawn = table[["change", "change_low", "change_high", "paper_change"]].stack()
    return style.span([*drawn.dropna(), 0.0])


def _zero_line() -> dict[str, Any]:
    line = {"color": GRAY, "width": 1.25}
    return {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _whiskers(
    points: Sequence[tuple[float, float]], bars: Sequence[tuple[float, float]]
) -> go.Scatter:
    """Draw each point's interval as a vertical line."""
    ends = [
        ((x, low), (x, high), (None, None))
        for (x, _), (low, high) in zip(points, bars, strict=True)
    ]
    flat = [end for three in ends for end in three]
    return go.Scatter(
        x=[x for x, _ in flat],
        y=[y for _, y in flat],
        mode="lines",
        line={"color": GRAY, "width": 1.5},
        hoverinfo="skip",
    )


def _points(table: DataFrame, points: Sequence[tuple[float, float]], cost: Metric) -> go.Scatter:
    return go.Scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="markers",
        customdata=list(table["key"]),
        text=[
            f"<b>{title}</b><br>{number(y, 2)}% top-1<br>{number(x, cost.decimals)} {cost.unit}"
            for title, (x, y) in zip(table["title"], points, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
        marker=style.step_marker(table, 10),
    )


def _numbers(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    spans: tuple[tuple[float, float], tuple[float, float]],
    bars: Sequence[tuple[float, float]],
) -> list[dict[str, Any]]:
    """Write each step's number beside its point, connected by a line."""
    shifts = place_labels(points, texts, spans=spans, area=AREA, bars=bars, reach=REACH)
    return [
        style.label(text, point, *shift, gap=3)
        for point, text, shift in zip(points, texts, shifts, strict=True)
    ]
