"""Chart rows: step names at the left, under their group's name, and numbers at the right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from roadmap.charts.style import FONT_SIZE

ROW, HEADER, GAP = 1.0, 1.0, 0.35  # heights, in rows: bar, group name, space above it
PIXELS_PER_ROW = 23
LEFT, VALUE, RIGHT, TOP, BOTTOM = 146, 50, 98, 34, 42  # margins and width of a column, in pixels


def row_places(groups: list[str]) -> tuple[list[float], list[tuple[str, float]], float]:
    """Return the y of each row and group name, from the top, and the total height."""
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
    """Return the chart's height in pixels for a ``height`` in rows."""
    return round(height * PIXELS_PER_ROW) + TOP + BOTTOM


def text(label: str, x: float, y: float, anchor: str, shift: int, **more: Any) -> dict[str, Any]:
    """Place ``label`` ``shift`` pixels from ``x`` (0: left end of the axis, 1: right end)."""
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
    """Print names at the left and up to two columns of ``numbers`` at the right, as extra axes'
    ticks.

    Annotations would look the same, but Plotly draws them several times more slowly. Rows with an
    index in ``chosen`` are bold.
    """

    def texts(values: Sequence[str]) -> list[str]:
        return [f"<b>{value}</b>" if i in chosen else value for i, value in enumerate(values)]

    names = texts(titles) + [f"<b>{name}</b>" for name, _ in headers]
    heights = places + [y for _, y in headers]
    printed = {
        axis: text_axis(places, texts(values), (height, 0), 1, shift, "left")
        for axis, shift, values in zip(("yaxis3", "yaxis4"), (VALUE, RIGHT), numbers, strict=False)
    }
    return {"yaxis2": text_axis(heights, names, (height, 0), 0, -LEFT, "right"), **printed}


def text_axis(
    places: Sequence[float],
    texts: Sequence[str],
    span: tuple[float, float],
    position: int,
    shift: int,
    side: str,
) -> dict[str, Any]:
    """Return an axis over ``span``, from bottom to top, that prints ``texts`` on one ``side`` of a
    vertical line ``shift`` pixels from an end of the horizontal axis."""
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


def column_names(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the headings of the columns of numbers, at most two."""
    small = {"yshift": 12, "borderpad": 0, "font": {"size": FONT_SIZE - 1}}
    return [
        text(name, 1, 0, "right", shift, **small)
        for name, shift in zip(names, (VALUE, RIGHT), strict=False)
    ]
