"""Shared style of all charts: sizes, quiet axes, colors for light and dark themes."""

from __future__ import annotations

from typing import Any

FONT_SIZE = 13
CLEAR = "rgba(0, 0, 0, 0)"
GRID = "rgba(124, 128, 136, 0.22)"
BAND = "rgba(124, 128, 136, 0.18)"  # behind the selected row


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with a grid, no zero line, and ``title`` with its unit."""
    return {
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
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        **more,
    }
