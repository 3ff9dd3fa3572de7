"""Shapes that the glossary's drawings share: grids, sheets, layers, arrows and curves.

Lengths are in pixels of a drawing of ``WIDTH`` × ``HEIGHT``. Neutral shapes take the page's text
color, so a drawing suits both themes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from roadmap.drawing.svg import label, picture
from roadmap.palette import BLUE, CYAN, ORANGE, PLUM

WIDTH, HEIGHT = 260, 140
#: Colors of four channels.
CHANNELS = (BLUE, ORANGE, CYAN, PLUM)
INK = "currentColor"
Point = tuple[float, float]
word = partial(label, anchor="middle")


def drawing(described: str, *shapes: str) -> str:
    """Return a complete SVG with its text alternative."""
    return picture(WIDTH, HEIGHT, "".join(shapes), described)


def n(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    color: str = INK,
    *,
    fill: float = 0.12,
    dashed: bool = False,
    round_: float = 0,
) -> str:
    """Return a rectangle with an outline; ``fill`` is the opacity inside."""
    more = ' stroke-dasharray="4 3"' if dashed else ""
    more += f' rx="{n(round_)}"' if round_ else ""
    return (
        f'<rect x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}" fill="{color}" '
        f'fill-opacity="{fill:g}" stroke="{color}" stroke-width="1.5"{more}/>'
    )


def layer(x: float, y: float, width: float, height: float, text: str = "", color: str = INK) -> str:
    """Return a layer as a rounded box with its name inside."""
    box = rect(x, y, width, height, color, fill=0.18, round_=5)
    return box + (word(x + width / 2, y + height / 2 + 4.5, text) if text else "")


def cells(
    x: float,
    y: float,
    size: float,
    filled: Iterable[tuple[int, int]],
    color: str = BLUE,
    opacity: float = 0.55,
) -> str:
    """Return cells (row, column) of a grid, filled."""
    side = n(size)
    path = "".join(
        f"M{n(x + column * size)} {n(y + row * size)}h{side}v{side}h-{side}z"
        for row, column in sorted(filled)
    )
    return f'<path d="{path}" fill="{color}" fill-opacity="{opacity:g}"/>' if path else ""


def lines(x: float, y: float, rows: int, columns: int, size: float) -> str:
    """Return the lines of a grid."""
    across = "".join(f"M{n(x)} {n(y + i * size)}h{n(columns * size)}" for i in range(rows + 1))
    down = "".join(f"M{n(x + i * size)} {n(y)}v{n(rows * size)}" for i in range(columns + 1))
    return f'<path d="{across}{down}" stroke="{INK}" stroke-opacity="0.55" stroke-width="1"/>'


def grid(
    x: float,
    y: float,
    rows: int,
    columns: int,
    size: float,
    filled: Iterable[tuple[int, int]] = (),
    color: str = BLUE,
) -> str:
    """Return a grid of square cells, some of them filled."""
    return cells(x, y, size, filled, color) + lines(x, y, rows, columns, size)


def heat(
    x: float, y: float, values: Sequence[Sequence[float]], size: float, color: str = BLUE
) -> str:
    """Return a grid whose cells are the darker, the closer ``values`` are to their maximum."""
    most = max(map(max, values)) or 1
    levels: dict[float, set[tuple[int, int]]] = {}
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            levels.setdefault(round(0.9 * max(value, 0) / most, 2), set()).add((row, column))
    filled = "".join(
        cells(x, y, size, places, color, level) for level, places in levels.items() if level
    )
    return filled + lines(x, y, len(values), len(values[0]), size)


def square(rows: Iterable[int], columns: Iterable[int]) -> set[tuple[int, int]]:
    """Return all cells of the rows and columns."""
    columns = list(columns)
    return {(row, column) for row in rows for column in columns}


def line(
    points: Iterable[Point],
    color: str = INK,
    *,
    width: float = 1.5,
    opacity: float = 1,
    dashed: bool = False,
) -> str:
    """Return a line through ``points``."""
    path = "L".join(f"{n(x)} {n(y)}" for x, y in points)
    more = ' stroke-dasharray="4 3"' if dashed else ""
    more += f' stroke-opacity="{opacity:g}"' if opacity < 1 else ""
    return (
        f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="{width:g}" '
        f'stroke-linejoin="round"{more}/>'
    )


def arrow(start: Point, end: Point, color: str = INK) -> str:
    """Return an arrow with its head at ``end``."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    head = [
        (end[0] - 7 * math.cos(angle + turn), end[1] - 7 * math.sin(angle + turn))
        for turn in (-0.5, 0.5)
    ]
    return line([start, end], color) + line([head[0], end, head[1]], color)


def over(start: Point, end: Point, top: float, color: str = INK) -> str:
    """Return a line from ``start`` up to ``top``, across, and down to ``end``."""
    x, y = start
    return (
        f'<path d="M{n(x)} {n(y)}V{n(top + 8)}Q{n(x)} {n(top)} {n(x + 8)} {n(top)}'
        f'H{n(end[0] - 8)}Q{n(end[0])} {n(top)} {n(end[0])} {n(top + 8)}V{n(end[1])}" '
        f'fill="none" stroke="{color}" stroke-width="2"/>'
    )


def dot(x: float, y: float, radius: float = 4, color: str = INK, opacity: float = 1) -> str:
    return (
        f'<circle cx="{n(x)}" cy="{n(y)}" r="{n(radius)}" fill="{color}" '
        f'fill-opacity="{opacity:g}"/>'
    )


def plus(x: float, y: float) -> str:
    """Return the sign of an addition."""
    ring = f'<circle cx="{n(x)}" cy="{n(y)}" r="9" fill="none" stroke="{INK}" stroke-width="1.5"/>'
    return ring + line([(x - 5, y), (x + 5, y)]) + line([(x, y - 5), (x, y + 5)])


def bars(
    x: float,
    base: float,
    heights: Sequence[float],
    width: float,
    color: str | Sequence[str] = BLUE,
    gap: float = 4,
) -> str:
    """Return bars that stand on ``base``."""
    colors = [color] * len(heights) if isinstance(color, str) else color
    return "".join(
        f'<rect x="{n(x + i * (width + gap))}" y="{n(base - height)}" width="{n(width)}" '
        f'height="{n(height)}" fill="{colors[i]}" fill-opacity="0.75"/>'
        for i, height in enumerate(heights)
    )


class Axes:
    """Maps values to pixels: ``x`` and ``y`` are ranges, ``box`` is left, top, right, bottom."""

    def __init__(self, x: Point, y: Point, box: tuple[float, float, float, float]):
        self.x, self.y, self.box = x, y, box

    def at(self, x: float, y: float) -> Point:
        left, top, right, bottom = self.box
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + across * (right - left), bottom - up * (bottom - top)

    def line(self, points: Iterable[Point], color: str = BLUE, width: float = 2.5) -> str:
        """Return a line through points given as values."""
        return line([self.at(*point) for point in points], color, width=width)

    def curve(self, function: Callable[[float], float], color: str = BLUE, steps: int = 48) -> str:
        """Return the graph of ``function``."""
        start, end = self.x
        xs = (start + i * (end - start) / steps for i in range(steps + 1))
        return self.line([(x, function(x)) for x in xs], color)

    def drawn(self, x: float, y: float) -> str:
        """Return both axes, which cross at ``x``, ``y``."""
        return line([self.at(self.x[0], y), self.at(self.x[1], y)], opacity=0.6, width=1) + line(
            [self.at(x, self.y[0]), self.at(x, self.y[1])], opacity=0.6, width=1
        )
