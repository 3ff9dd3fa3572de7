"""The value of each change: intervals, the path of an order, the map of combinations.

Each function takes a DataFrame from ``roadmap.study.rows``. All values are model predictions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.analysis.verdict import GAIN, INCONCLUSIVE, LOSS
from roadmap.charts import style
from roadmap.charts.ablation import SIGNS
from roadmap.palette import BLUE, GRAY, ORANGE
from roadmap.text import signed

if TYPE_CHECKING:
    from pandas import DataFrame

ROW, TOP, BOTTOM, NAMES = 30, 8, 44, 176  # pixels
#: How a study's verdicts are drawn.
READINGS = {verdict: SIGNS[verdict] for verdict in (GAIN, LOSS, INCONCLUSIVE)}
PATH_HEIGHT, MAP_HEIGHT = 340, 460
POINT = 4


def effect_intervals(table: DataFrame) -> go.Figure:
    """Draw one row per change, the first at the top: points of top-1 with their 95% interval.

    ``table`` has ``title``, ``points``, ``low``, ``high`` and ``verdict`` (gain, loss,
    inconclusive or impossible); impossible changes only show their name.
    """
    places = dict(zip(table["title"], range(len(table)), strict=True))
    shown = table[table["points"].notna()]
    span = _span(shown)
    return go.Figure(
        [_intervals(shown[shown["verdict"] == verdict], verdict, places) for verdict in READINGS],
        style.layout(
            TOP + BOTTOM + ROW * len(table),
            margin={"l": NAMES, "r": 64, "t": TOP, "b": BOTTOM, "pad": 0},
            xaxis=style.axis(
                "Points of top-1", range=span, zeroline=True, zerolinecolor=GRAY, zerolinewidth=1
            ),
            yaxis={
                "tickvals": list(places.values()),
                "ticktext": list(places),
                "range": [len(table) - 0.4, -0.6],
                "fixedrange": True,
                "automargin": False,
                "showgrid": False,
                "zeroline": False,
                "tickfont": {"size": style.FONT_SIZE},
            },
            annotations=[*_values(table, places), *_impossible(table, places)],
        ),
    )


def order_path(table: DataFrame) -> go.Figure:
    """Plot predicted top-1 after each change, with a 95% band, for one or two orders.

    ``table`` has ``path`` (the first in front), ``number``, ``title``, ``top1``, ``low``,
    ``high`` and ``gflops``.
    """
    traces: list[go.Scatter] = []
    names = list(dict.fromkeys(table["path"]))
    looks = list(zip(names, (BLUE, GRAY), ("solid", "dot"), strict=False))
    for name, color, dash in reversed(looks):
        rows = table[table["path"] == name]
        traces += [_band(rows, color), _line(rows, name, color, dash)]
    last = int(table["number"].max())
    return go.Figure(
        traces,
        style.layout(
            PATH_HEIGHT,
            margin={"l": 52, "r": 12, "t": 30, "b": 44, "pad": 0},
            xaxis=style.axis("Changes made", range=[-0.3, last + 0.3], dtick=1),
            yaxis=style.axis("Predicted top-1, %"),
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1.12},
        ),
    )


def combination_map(
    table: DataFrame, path: DataFrame, front: DataFrame, cost: str, axis: str, selected: int | None
) -> go.Figure:
    """Plot every combination: predicted top-1 against ``cost`` (a column, titled ``axis``).

    ``front`` are the combinations that no cheaper one beats, ``path`` the roadmap's, in order. A
    click carries the index of its row in ``table`` as ``customdata``; ``selected`` is an index.
    """
    chosen = table.iloc[[selected]] if selected is not None else table.iloc[:0]
    return go.Figure(
        [
            go.Scattergl(
                x=table[cost],
                y=table["top1"],
                mode="markers",
                marker={"size": POINT, "color": GRAY, "opacity": 0.25},
                customdata=list(range(len(table))),
                hovertemplate="%{y:.1f}% · %{x:.3g}<extra></extra>",
                name="All combinations",
            ),
            go.Scatter(
                x=front[cost],
                y=front["top1"],
                mode="lines",
                line={"color": ORANGE, "width": 2, "shape": "hv"},
                hoverinfo="skip",
                name="Best at each cost",
            ),
            go.Scatter(
                x=path[cost],
                y=path["top1"],
                text=path["title"],
                mode="lines+markers",
                line={"color": BLUE, "width": 2},
                marker={"size": 7, "color": BLUE},
                hovertemplate="%{text}: %{y:.1f}%<extra></extra>",
                name="The roadmap",
            ),
            go.Scatter(
                x=chosen[cost],
                y=chosen["top1"],
                mode="markers",
                marker={"size": 16, "symbol": "circle-open", "color": BLUE, "line": {"width": 3}},
                hoverinfo="skip",
                showlegend=False,
            ),
        ],
        style.layout(
            MAP_HEIGHT,
            margin={"l": 52, "r": 12, "t": 30, "b": 44, "pad": 0},
            xaxis=style.axis(axis),
            yaxis=style.axis("Predicted top-1, %"),
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1.09},
        ),
    )


def _span(table: DataFrame) -> list[float]:
    low = min(0.0, float(table["low"].min())) if len(table) else -1.0
    high = max(0.0, float(table["high"].max())) if len(table) else 1.0
    room = 0.04 * (high - low or 1.0)
    return [low - room, high + room]


def _intervals(table: DataFrame, verdict: str, places: dict[str, int]) -> go.Scatter:
    sign = READINGS[verdict]
    return go.Scatter(
        x=table["points"],
        y=[places[title] for title in table["title"]],
        mode="markers",
        marker={"size": 10, "color": sign.color, "symbol": sign.symbol, "line": {"width": 2}},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": list(table["high"] - table["points"]),
            "arrayminus": list(table["points"] - table["low"]),
            "thickness": 1.5,
            "width": 4,
        },
        text=table["title"],
        customdata=table[["low", "high"]],
        hovertemplate="%{text}: %{x:+.2f} points, 95% interval %{customdata[0]:+.2f} to "
        "%{customdata[1]:+.2f}<extra></extra>",
        name=verdict,
    )


def _values(table: DataFrame, places: dict[str, int]) -> list[dict[str, Any]]:
    """Print the figures in a column at the right."""
    return [
        _note(signed(row["points"], 2), 1, places[row["title"]])
        for row in table.to_dict("records")
        if row["points"] == row["points"]
    ]


def _impossible(table: DataFrame, places: dict[str, int]) -> list[dict[str, Any]]:
    return [
        _note("not possible alone", 0, places[title])
        for title in table[table["points"].isna()]["title"]
    ]


def _note(words: str, x: float, y: int) -> dict[str, Any]:
    return style.note(words, x, y, xref="paper", xanchor="left", xshift=8)


def _band(rows: DataFrame, color: str) -> go.Scatter:
    numbers = list(rows["number"])
    return go.Scatter(
        x=[*numbers, *reversed(numbers)],
        y=[*rows["high"], *reversed(list(rows["low"]))],
        fill="toself",
        fillcolor=style.faded(color, 0.15),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def _line(rows: DataFrame, name: str, color: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=rows["number"],
        y=rows["top1"],
        text=rows["title"],
        customdata=rows["gflops"],
        mode="lines+markers",
        line={"color": color, "width": 2, "dash": dash},
        marker={"size": 7, "color": color},
        hovertemplate="%{text}: %{y:.1f}%, %{customdata:.2f} GFLOPs<extra></extra>",
        name=name,
    )
