"""The paper's Figure 2: a bar a step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.style import BAND, CLEAR, FONT_SIZE
from roadmap.palette import GREY, GROUP_COLORS
from roadmap.text import number

if TYPE_CHECKING:
    from pandas import DataFrame

ROW, HEADER, GAP = 1.0, 1.0, 0.35  # heights in rows: a bar, a group's name, the space above it
PIXELS_PER_ROW = 23
LEFT, VALUE, RIGHT, TOP, BOTTOM = 146, 50, 98, 34, 42  # margins and a column, in pixels
WHISKER = "#3a3f47"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a chart can show: ``key`` is the table's column, ``name`` short, ``axis`` with its unit.

    ``decimals`` are those of every printed value. ``from_zero`` is false where the differences
    would drown in what all steps share.
    """

    key: str
    name: str
    axis: str
    unit: str
    decimals: int
    from_zero: bool = True


METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric(
            key="top1",
            name="Top-1 %",
            axis="ImageNet-1K top-1 accuracy, %",
            unit="%",
            decimals=2,
            from_zero=False,
        ),
        Metric(
            key="gflops",
            name="GFLOPs",
            axis="Multiply-adds, 10⁹ at 224 × 224",
            unit="GFLOPs",
            decimals=2,
        ),
        Metric(key="params", name="Params M", axis="Parameters, million", unit="M", decimals=1),
        Metric(
            key="images_per_s",
            name="Images/s",
            axis="Images per second",
            unit="images/s",
            decimals=0,
        ),
        Metric(key="memory", name="GB", axis="Peak memory, GB", unit="GB", decimals=2),
    )
}


def roadmap_bars(
    table: DataFrame,
    metric: Metric = METRICS["top1"],
    selected: str | None = None,
    reference: tuple[str, float] | None = None,
) -> go.Figure:
    """Figure 2 of the paper: a bar a step, under the names of their groups.

    ``table`` has a row a step with ``key``, ``title``, ``group``, ``adopted`` and the metric's
    column; ``<metric>_low`` and ``<metric>_high``, where present, become whiskers, and
    ``<metric>_torch``, the same with PyTorch's depthwise convolution, a tick across the bar. A
    second column prints GFLOPs, or top-1 where the bars are GFLOPs. ``selected`` is the key
    whose row is banded, ``reference`` a name and a value for the dashed line. Rows are clickable
    over their whole width; a click carries the step's key as ``customdata``.
    """
    places, headers, height = _places(list(table["group"]))
    keys, values = list(table["key"]), [float(value) for value in table[metric.key]]
    span = _axis_range(table, metric, reference)
    chosen = [keys.index(selected)] if selected in keys else []
    return go.Figure(
        [
            go.Bar(
                base=span[0],
                x=[span[1] - span[0]] * len(keys),
                y=places,
                customdata=keys,
                marker={"color": CLEAR},
                selectedpoints=chosen,
                selected={"marker": {"color": BAND, "opacity": 1}},
                unselected={"marker": {"color": CLEAR, "opacity": 1}},
                width=ROW,
                orientation="h",
                hoverinfo="none",
            ),
            go.Bar(
                base=span[0],
                x=[value - span[0] for value in values],
                y=places,
                marker=_marker(table),
                width=0.68 * ROW,
                orientation="h",
                hoverinfo="skip",
            ),
            *_whiskers(table, metric, places),
            *_ticks(table, metric, places),
            *(go.Scatter(x=[None], y=[None], yaxis=axis) for axis in ("y2", "y3", "y4")),
        ],
        {
            **_layout(metric, span, height),
            **_columns(table, metric, places, headers, chosen, height),
            "annotations": [*_column_names(metric), *_reference_text(reference, metric)],
            "shapes": [*_reference_line(reference), *_band_ends(places, chosen)],
        },
    )


def _places(groups: list[str]) -> tuple[list[float], list[tuple[str, float]], float]:
    """The y of each row and of each group's name, from the top down, and the whole height."""
    places: list[float] = []
    headers: list[tuple[str, float]] = []
    y = -GAP
    for group, rows in groupby(groups):
        y += GAP
        headers.append((group, y + HEADER / 2))
        y += HEADER
        for _ in rows:
            places.append(y + ROW / 2)
            y += ROW
    return places, headers, y


def _axis_range(
    table: DataFrame, metric: Metric, reference: tuple[str, float] | None
) -> tuple[float, float]:
    low, high = float(table[metric.key].min()), float(table[metric.key].max())
    for end in ("_high", "_torch"):
        if f"{metric.key}{end}" in table:
            high = max(high, float(table[f"{metric.key}{end}"].max()))
    if reference:
        low, high = min(low, reference[1]), max(high, reference[1])
    start = 0.0 if metric.from_zero else float(int(low) - 1)
    return start, high + 0.02 * (high - start)


def _whiskers(table: DataFrame, metric: Metric, places: list[float]) -> list[go.Scatter]:
    """Whiskers alone, for the rows that have them; in a bar's own error bars each row gets caps."""
    if f"{metric.key}_low" not in table:
        return []
    has = list(table[f"{metric.key}_low"].notna())
    value, low, high = (table[f"{metric.key}{end}"][has] for end in ("", "_low", "_high"))
    return [
        go.Scatter(
            x=[float(x) for x in value],
            y=[y for y, drawn in zip(places, has, strict=True) if drawn],
            mode="markers",
            marker={"color": CLEAR, "size": 1},
            error_x={
                "type": "data",
                "array": [float(length) for length in high - value],
                "arrayminus": [float(length) for length in value - low],
                "thickness": 1.5,
                "width": 3,
                "color": WHISKER,
            },
            hoverinfo="skip",
        )
    ]


def _ticks(table: DataFrame, metric: Metric, places: list[float]) -> list[go.Scatter]:
    """A line across the bar; an error bar's, as these take the theme's text colour."""
    column = table.get(f"{metric.key}_torch")
    if column is None or not column.notna().any():
        return []
    has = list(column.notna())
    return [
        go.Scatter(
            x=[float(x) for x in column[has]],
            y=[y for y, drawn in zip(places, has, strict=True) if drawn],
            mode="markers",
            marker={"color": CLEAR, "size": 1},
            error_y={
                "type": "constant",
                "value": 0.34 * ROW,
                "thickness": 2,
                "width": 0,
                "color": WHISKER,
            },
            hoverinfo="skip",
        )
    ]


def _marker(table: DataFrame) -> dict[str, Any]:
    """Group colours; steps that were not adopted are hatched."""
    colors = [GROUP_COLORS.get(group, GREY) for group in table["group"]]
    return {
        "color": colors,
        "line": {"width": [0 if adopted else 1 for adopted in table["adopted"]], "color": colors},
        "pattern": {
            "shape": ["" if adopted else "/" for adopted in table["adopted"]],
            "fillmode": "replace",
            "size": 6,
            "solidity": 0.35,
        },
    }


def _layout(metric: Metric, span: tuple[float, float], height: float) -> dict[str, Any]:
    title = metric.axis if metric.from_zero else f"{metric.axis} (axis from {span[0]:.0f})"
    return style.layout(
        round(height * PIXELS_PER_ROW) + TOP + BOTTOM,
        margin={"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM, "pad": 0},
        barmode="overlay",
        xaxis=style.axis(title, range=span, fixedrange=True, automargin=False),
        yaxis={"range": [height, 0], "fixedrange": True, "visible": False},
    )


def _band_ends(places: list[float], chosen: list[int]) -> list[dict[str, Any]]:
    """The selected row's band behind its texts, left and right of the axis."""
    fill = {"fillcolor": BAND, "line": {"width": 0}, "layer": "below"}
    return [
        {
            "type": "rect",
            "xref": "paper",
            "xsizemode": "pixel",
            "xanchor": anchor,
            "x0": x0,
            "x1": x1,
            "y0": places[index] - ROW / 2,
            "y1": places[index] + ROW / 2,
            **fill,
        }
        for index in chosen
        for anchor, x0, x1 in ((0, -LEFT, 0), (1, 0, RIGHT))
    ]


def _text(text: str, x: float, y: float, anchor: str, shift: int, **more: Any) -> dict[str, Any]:
    """A text ``shift`` pixels from ``x`` (0: left end of the axis, 1: right end)."""
    return {
        "text": text,
        "x": x,
        "xref": "paper",
        "xanchor": anchor,
        "xshift": shift,
        "y": y,
        "yref": "y",
        "yanchor": "middle",
        "showarrow": False,
        **more,
    }


def _columns(
    table: DataFrame,
    metric: Metric,
    places: list[float],
    headers: list[tuple[str, float]],
    chosen: list[int],
    height: float,
) -> dict[str, Any]:
    """Names at the left, two columns of numbers at the right: tick labels of further axes.

    Annotations would look the same and take Plotly several times as long to draw.
    """

    def texts(values: Iterable[str]) -> list[str]:
        return [f"<b>{text}</b>" if i in chosen else text for i, text in enumerate(values)]

    def numbers(column: Metric) -> list[str]:
        return texts(number(value, column.decimals) for value in table[column.key])

    names = texts(table["title"]) + [f"<b>{name}</b>" for name, _ in headers]
    heights = places + [y for _, y in headers]
    return {
        "yaxis2": _text_axis(heights, names, height, 0, -LEFT, "right"),
        "yaxis3": _text_axis(places, numbers(metric), height, 1, VALUE, "left"),
        "yaxis4": _text_axis(places, numbers(_second(metric)), height, 1, RIGHT, "left"),
    }


def _text_axis(
    places: list[float], texts: list[str], height: float, position: int, shift: int, side: str
) -> dict[str, Any]:
    """``texts`` on one ``side`` of a vertical ``shift`` pixels from an end of the axis."""
    return {
        "overlaying": "y",
        "anchor": "free",
        "position": position,
        "shift": shift,
        "side": side,
        "range": [height, 0],
        "fixedrange": True,
        "automargin": False,
        "tickmode": "array",
        "tickvals": places,
        "ticktext": texts,
        "tickfont": {"size": FONT_SIZE},
        "ticks": "",
        "showgrid": False,
        "zeroline": False,
        "showline": False,
    }


def _column_names(metric: Metric) -> list[dict[str, Any]]:
    small = {"yshift": 12, "borderpad": 0, "font": {"size": FONT_SIZE - 1}}
    return [
        _text(metric.name, 1, 0, "right", VALUE, **small),
        _text(_second(metric).name, 1, 0, "right", RIGHT, **small),
    ]


def _second(metric: Metric) -> Metric:
    return METRICS["top1" if metric.key == "gflops" else "gflops"]


def _reference_line(reference: tuple[str, float] | None) -> list[dict[str, Any]]:
    if reference is None:
        return []
    line = {"color": GREY, "width": 1.5, "dash": "dash"}
    x = reference[1]
    return [{"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}]


def _reference_text(reference: tuple[str, float] | None, metric: Metric) -> list[dict[str, Any]]:
    if reference is None:
        return []
    name, value = reference
    text = f"{name} {number(value, metric.decimals)}"
    return [
        _text(text, value, 0, "right", 0, xref="x", yshift=12, font={"size": FONT_SIZE - 1}),
    ]
