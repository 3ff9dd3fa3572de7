"""The paper's Figure 2: one bar per step, or one dot where bars from zero would look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.rows import (
    BOTTOM,
    LEFT,
    RIGHT,
    ROW,
    TOP,
    column_names,
    columns,
    pixels,
    row_places,
    text,
)
from roadmap.charts.style import BAND, CLEAR, FONT_SIZE
from roadmap.palette import GRAY
from roadmap.text import number, signed

if TYPE_CHECKING:
    from pandas import DataFrame, Series

WHISKER = "#3a3f47"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a chart can show: ``key`` is the table's column, ``name`` is short, ``axis`` has a unit.

    ``decimals`` applies to every printed value. ``from_zero`` is false where bars from zero would
    hide the differences between the steps: they are drawn as dots, since the length of a cut bar
    says nothing.
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
            axis="GFLOPs per image at 224 × 224",
            unit="GFLOPs",
            decimals=2,
        ),
        Metric(key="params", name="Params M", axis="Parameters, million", unit="M", decimals=1),
        Metric(
            key="images_per_s",
            name="Images/s",
            axis="Images/s",
            unit="images/s",
            decimals=0,
        ),
        Metric(key="memory", name="GB", axis="Peak memory, GB", unit="GB", decimals=2),
    )
}

#: The second column beside dots.
CHANGE = Metric(key="change", name="Change", axis="", unit="points", decimals=2)


def roadmap_bars(
    table: DataFrame,
    metric: Metric = METRICS["top1"],
    selected: str | None = None,
    reference: tuple[str, float] | None = None,
    second: Metric | None = None,
) -> go.Figure:
    """Draw the paper's Figure 2: one bar per step, under the names of the groups.

    A metric that is not ``from_zero`` has dots instead of bars, and a line to each from the value
    of the step that it is compared with, in the column ``previous``, if there is one.

    ``table`` has one row per step with ``key``, ``title``, ``group``, ``adopted`` and the metric's
    column. ``<metric>_low`` and ``<metric>_high``, if present, become whiskers.
    ``<metric>_torch``, the value with PyTorch's depthwise convolution, becomes a line across the
    bar. A second column prints ``second`` [default: the change from ``previous`` beside
    dots, top-1 beside GFLOPs, GFLOPs beside all else]. ``selected`` is the key of the highlighted
    row, ``reference`` a name and a value for the dashed line. Rows are clickable over their whole
    width; a click carries the step's key as ``customdata``.
    """
    places, headers, height = row_places(list(table["group"]))
    dots = not metric.from_zero
    if dots and second is None and "previous" in table:
        table = table.assign(change=table[metric.key] - _before(table, metric))
        second = CHANGE
    second = second or METRICS["top1" if metric.key == "gflops" else "gflops"]
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
                text=_said(table, metric),
                textposition="none",
                marker={"color": CLEAR, "line": {"width": 0}},
                selectedpoints=chosen,
                selected={"marker": {"color": BAND, "opacity": 1}},
                unselected={"marker": {"color": CLEAR, "opacity": 1}},
                width=ROW,
                orientation="h",
                hoverinfo="none",
            ),
            _changes(table, metric, places) if dots else _bars(table, values, places),
            *_whiskers(table, metric, places),
            *_ticks(table, metric, places),
            *([_dots(table, values, places)] if dots else []),
            *(go.Scatter(x=[None], y=[None], yaxis=axis) for axis in ("y2", "y3", "y4")),
        ],
        {
            **_layout(metric, span, height),
            **columns(
                list(table["title"]),
                [_printed(table, column) for column in (metric, second)],
                places,
                headers,
                height,
                chosen,
            ),
            "annotations": [
                *column_names((metric.name, second.name)),
                *_reference_text(reference, metric),
            ],
            "shapes": [*_reference_line(reference), *_band_ends(places, chosen)],
        },
    )


def _said(table: DataFrame, metric: Metric) -> list[str]:
    """Return each row in words, for the keyboard."""
    unit = metric.unit if metric.unit == "%" else f" {metric.unit}"
    return [
        f"{title}, {number(value, metric.decimals)}{unit}"
        for title, value in zip(table["title"], table[metric.key], strict=True)
    ]


def _bars(table: DataFrame, values: list[float], places: list[float]) -> go.Bar:
    return go.Bar(
        base=0,
        x=values,
        y=places,
        marker=_marker(table),
        width=0.68 * ROW,
        orientation="h",
        hoverinfo="skip",
    )


def _changes(table: DataFrame, metric: Metric, places: list[float]) -> go.Bar:
    """Draw a line to each value from that of the step before."""
    values, before = table[metric.key], _before(table, metric)
    return go.Bar(
        base=[float(value) for value in before],
        x=[float(value) for value in values - before],
        y=places,
        marker={"color": style.colors(table), "line": {"width": 0}},
        width=0.14 * ROW,
        orientation="h",
        hoverinfo="skip",
    )


def _dots(table: DataFrame, values: list[float], places: list[float]) -> go.Scatter:
    """Draw a dot at each value, open if the step was not adopted."""
    return go.Scatter(
        x=values,
        y=places,
        mode="markers",
        marker=style.step_marker(table, 9),
        hoverinfo="skip",
    )


def _before(table: DataFrame, metric: Metric) -> Series:
    """Return the value of the step that each one is compared with; NaN if there is none."""
    if "previous" not in table:
        return table[metric.key] * float("nan")
    return table["previous"].map(table.set_index("key")[metric.key]).set_axis(table.index)


def _printed(table: DataFrame, metric: Metric) -> list[str]:
    written = signed if metric is CHANGE else number
    return [written(value, metric.decimals) for value in table[metric.key]]


def _axis_range(
    table: DataFrame, metric: Metric, reference: tuple[str, float] | None
) -> tuple[float, float]:
    columns = (metric.key, f"{metric.key}_low", f"{metric.key}_high", f"{metric.key}_torch")
    values = [value for name in columns if name in table for value in table[name].dropna()]
    if reference:
        values.append(reference[1])
    if not values:
        return 0.0, 1.0
    start = 0.0 if metric.from_zero else float(max(int(min(values)) - 1, 0))
    room = 0.02 if metric.from_zero else 0.08  # half a dot, in the narrowest chart
    return start, max(values) + room * (max(values) - start)


def _whiskers(table: DataFrame, metric: Metric, places: list[float]) -> list[go.Scatter]:
    """Draw whiskers only for rows that have them; a bar's own error bars add caps to each row."""
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
                "width": 3 if metric.from_zero else 0,
                "color": WHISKER,
            },
            hoverinfo="skip",
        )
    ]


def _ticks(table: DataFrame, metric: Metric, places: list[float]) -> list[go.Scatter]:
    """Draw a line across the bar, as an error bar, since those take the theme's text color."""
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
    """Return markers in the group colors; steps that were not adopted are hatched."""
    colors = style.colors(table)
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
    return style.layout(
        pixels(height),
        margin={"l": LEFT, "r": RIGHT, "t": TOP, "b": BOTTOM, "pad": 0},
        barmode="overlay",
        xaxis=style.axis(metric.axis, range=span),
        yaxis={"range": [height, 0], "fixedrange": True, "visible": False},
    )


def _band_ends(places: list[float], chosen: list[int]) -> list[dict[str, Any]]:
    """Extend the selected row's band behind its texts, left and right of the axis."""
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


def _reference_line(reference: tuple[str, float] | None) -> list[dict[str, Any]]:
    if reference is None:
        return []
    line = {"color": GRAY, "width": 1.5, "dash": "dash"}
    x = reference[1]
    return [{"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}]


def _reference_text(reference: tuple[str, float] | None, metric: Metric) -> list[dict[str, Any]]:
    if reference is None:
        return []
    name, value = reference
    label = f"{name} {number(value, metric.decimals)}"
    return [
        text(label, value, 0, "right", 0, xref="x", yshift=12, font={"size": FONT_SIZE - 1}),
    ]
