"""Shared style of all charts: sizes, quiet axes, colors for light and dark themes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from roadmap.palette import GRAY, GROUP_COLORS

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from pandas import DataFrame

FONT_SIZE = 13
CLEAR = "rgba(0, 0, 0, 0)"
GRID = "rgba(124, 128, 136, 0.22)"
BAND = "rgba(124, 128, 136, 0.18)"  # behind the selected row

#: Places an annotation above the axes, by their ends.
ABOVE = {"xref": "paper", "yref": "paper", "yanchor": "bottom"}


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


def front_line(x: Sequence[float], y: Sequence[float]) -> list[go.Scatter]:
    """Draw a Pareto front: a wide band, and a line in it that has contrast."""
    import plotly.graph_objects as go

    lines = ({"color": "rgba(124, 128, 136, 0.3)", "width": 9}, {"color": GRAY, "width": 1.5})
    return [
        go.Scatter(x=list(x), y=list(y), mode="lines", line=line, hoverinfo="skip")
        for line in lines
    ]


def note(text: str, x: float, y: float, **more: Any) -> dict[str, Any]:
    """Return an annotation without an arrow."""
    font = {"size": FONT_SIZE - 1}
    return {"text": text, "x": x, "y": y, "showarrow": False, "font": font, **more}


def label(
    text: str, at: tuple[float, float], right: float, up: float, gap: float
) -> dict[str, Any]:
    """Return an annotation ``right`` and ``up`` pixels from a point, with a line to it.

    The line ends ``gap`` pixels before the point.
    """
    line: dict[str, Any] = {
        "arrowhead": 0,
        "arrowwidth": 1,
        "arrowcolor": GRAY,
        "standoff": gap,
        "borderpad": 0,
    }
    return note(text, *at, showarrow=True, ax=right, ay=-up, **line)


def colors(table: DataFrame) -> list[str]:
    """Return the color of each row's ``group`` of steps."""
    return [GROUP_COLORS.get(group, GRAY) for group in table["group"]]


def step_marker(table: DataFrame, size: Any) -> dict[str, Any]:
    """Return a marker per row in its group's color, open if the step was not ``adopted``."""
    drawn = colors(table)
    return {
        "size": size,
        "color": drawn,
        "symbol": ["circle" if adopted else "circle-open" for adopted in table["adopted"]],
        "line": {"width": 2, "color": drawn},
        "opacity": 1,
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
