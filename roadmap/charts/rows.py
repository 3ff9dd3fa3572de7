"""Rows of a chart: a step's name at the left, under its group's, and numbers at the right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from roadmap.charts.style import FONT_SIZE

ROW, HEADER, GAP = 1.0, 1.0, 0.35  # heights in rows: a bar, a group's name, the space above it
PIXELS_PER_ROW = 23
LEFT, VALUE, RIGHT, TOP, BOTTOM = 146, 50, 98, 34, 42  # margins and a column, in pixels


def row_places(groups: list[str]) -> tuple[list[float], list[tuple[str, float]], float]:
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


def pixels(height: float) -> int:
    """Of the whole chart, for a ``height`` in rows."""
    return round(height * PIXELS_PER_ROW) + TOP + BOTTOM


def text(label: str, x: float, y: float, anchor: str, shift: int, **more: Any) -> dict[str, Any]:
    """``label``, ``shift`` pixels from ``x`` (0: left end of the axis, 1: right end)."""
    return {
        "text": label,
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


def columns(
    titles: Sequence[str],
    numbers: Sequence[Sequence[str]],
    places: list[float],
    headers: list[tuple[str, float]],
    height: float,
    chosen: Sequence[int] = (),
) -> dict[str, Any]:
    """Names at the left, two columns of ``numbers`` at the right: tick labels of further axes.

    Annotations would look the same and take Plotly several times as long to draw. The rows with
    the indices ``chosen`` are bold.
    """

    def texts(values: Sequence[str]) -> list[str]:
        return [f"<b>{value}</b>" if i in chosen else value for i, value in enumerate(values)]

    names = texts(titles) + [f"<b>{name}</b>" for name, _ in headers]
    heights = places + [y for _, y in headers]
    first, second = map(texts, numbers)
    return {
        "yaxis2": text_axis(heights, names, (height, 0), 0, -LEFT, "right"),
        "yaxis3": text_axis(places, first, (height, 0), 1, VALUE, "left"),
        "yaxis4": text_axis(places, second, (height, 0), 1, RIGHT, "left"),
    }


def text_axis(
    places: Sequence[float],
    texts: Sequence[str],
    span: tuple[float, float],
    position: int,
    shift: int,
    side: str,
) -> dict[str, Any]:
    """``texts`` on one ``side`` of a vertical ``shift`` pixels from an end of the axis, which goes
    from bottom to top over ``span``."""
    return {
        "overlaying": "y",
        "anchor": "free",
        "position": position,
        "shift": shift,
        "side": side,
        "range": list(span),
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


def column_names(names: tuple[str, str]) -> list[dict[str, Any]]:
    """The headings of the two columns of numbers."""
    small = {"yshift": 12, "borderpad": 0, "font": {"size": FONT_SIZE - 1}}
    return [
        text(name, 1, 0, "right", shift, **small)
        for name, shift in zip(names, (VALUE, RIGHT), strict=True)
    ]
