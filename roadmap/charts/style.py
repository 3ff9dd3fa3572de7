"""Shared style of all charts: sizes, quiet axes, colors for light and dark themes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FONT_SIZE = 13
CLEAR = "rgba(0, 0, 0, 0)"
GRID = "rgba(124, 128, 136, 0.22)"
BAND = "rgba(124, 128, 136, 0.18)"  # behind the selected row


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with a grid, no zero line, and ``title`` with its unit.

    It cannot be zoomed, and its labels do not move the margin.
    """
    return {
        "fixedrange": True,
        "automargin": False,
        "showgrid": True,
        "gridcolor": GRID,
        "zeroline": False,
        "nticks": 6,
        "exponentformat": "none",  # 10,000 as in tables, not 10k
        "separatethousands": True,
        "tickfont": {"size": FONT_SIZE - 1},
        "title": {"text": title, "standoff": 6, "font": {"size": FONT_SIZE - 1}},
        **more,
    }


def layout(height: int, **more: Any) -> dict[str, Any]:
    """Return a layout: ``height`` in pixels; no background, legend or dragging."""
    return {
        "height": height,
        "showlegend": False,
        "dragmode": False,
        "font": {"size": FONT_SIZE},
        "hoverlabel": {"font": {"size": FONT_SIZE}},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        **more,
    }


def faded(color: str, opacity: float) -> str:
    """Return a color of the palette, ``#rrggbb``, with an opacity."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def span(values: Sequence[float]) -> tuple[float, float]:
    """Return an axis range with room for markers and numbers at the ends."""
    low, high = min(values), max(values)
    room = 0.09 * ((high - low) or abs(high) or 1)
    return low - room, high + room
