"""Placement of names beside points in a chart of any width, so that each is clearly one point's.

Each name has a line to its point. A name has a place only where it covers no mark and no other name
and where its line touches no other mark; names without such a place are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, dist, hypot
from typing import Any

from roadmap.charts import style
from roadmap.charts.labels import (
    LETTER,
    LINE,
    Box,
    Point,
    box_at,
    in_pixels,
    outside,
    shared_area,
)

#: Pixels between a name and marks; a line of at least ``SEEN`` pixels is seen.
ROOM, SEEN = 3, 5
#: Widths of a plotting area in pixels, from a phone's to the widest page's.
WIDTHS = range(290, 1050, 60)
#: Lines of text between a point and its name, at most.
FURTHEST = 4
#: Directions (right, up) from a point to its name.
DIRECTIONS = [to for to in product((0, 1, -1), (1, -1, 0)) if any(to)]
BETWEEN = [to for to in product((0.5, -0.5, 1, -1), repeat=2) if abs(to[0]) != abs(to[1])]
#: Pixels between the places at which a curve is looked at.
STEP = 6
#: Offset (right, up) in pixels from a point to the center of its name.
Shift = tuple[float, float]


@dataclass(frozen=True)
class Plot:
    """Where names are placed: the ranges of both axes over each of ``areas``, in pixels.

    A place is good in all areas. Names keep off ``curve`` where they can. By default a point within
    another mark has no name. With ``overlapping`` it has one where its line, which is drawn from
    the rim of its mark, is outside the other; for that, names have places in twice as many
    directions. With ``touching``, lines may touch other marks.
    """

    spans: tuple[Point, Point]
    areas: Sequence[tuple[int, int]]
    curve: Sequence[Point] = ()
    overlapping: bool = False
    touching: bool = False


def name_points(
    points: Sequence[Point], radii: Sequence[float], names: Sequence[str], plot: Plot
) -> list[dict[str, Any]]:
    """Return Plotly annotations with the names that ``place_names`` places, and their lines."""
    shifts = place_names(points, radii, names, plot)
    return [
        style.label(name, point, *shift, gap=radius)
        for point, radius, name, shift in zip(points, radii, names, shifts, strict=False)
        if shift
    ]


def place_names(
    points: Sequence[Point], radii: Sequence[float], names: Sequence[str], plot: Plot
) -> list[Shift | None]:
    """Return the offset in pixels from each of the first points to the center of its name, or None.

    ``radii`` are those of the points' marks; points after the last name have none. Earlier points
    choose first: the nearest place that is left.
    """
    drawn = [_Drawn(points, radii, plot, area) for area in plot.areas]
    shifts: list[Shift | None] = []
    for number, name in enumerate(names):
        width = LETTER * len(name)
        found = next(
            (
                at
                for near_curve in (False, True)
                for at in _places(width, radii[number] + ROOM, between=plot.overlapping)
                if all(each.allows(number, at, width, near_curve) for each in drawn)
            ),
            None,
        )
        shifts.append(found)
        if found:
            for each in drawn:
                each.take(number, found, width)
    return shifts


def _places(width: float, gap: float, *, between: bool) -> Iterator[Shift]:
    """Yield offsets for a name of ``width``, at least ``gap`` from its point, the nearest first.

    They are in eight directions, and in eight ``between`` them.
    """
    for further in range(FURTHEST):
        away = gap + further * LINE
        for across, along in [*DIRECTIONS, *(BETWEEN if between else ())]:
            beside = abs(across) == 1
            yield across * (away + width / 2), along * (away + (0 if beside else LINE / 2))


class _Drawn:
    """The chart at one size."""

    def __init__(
        self,
        points: Sequence[Point],
        radii: Sequence[float],
        plot: Plot,
        area: tuple[int, int],
    ):
        self.area, self.radii, self.plot = area, radii, plot
        self.marks = [in_pixels(point, plot.spans, area) for point in points]
        ends = [in_pixels(point, plot.spans, area) for point in plot.curve]
        self.curve = [at for pair in pairwise(ends) for at in _along(*pair)]
        self.names: list[Box] = []
        self.lines: list[tuple[Point, Point]] = []

    def allows(self, number: int, shift: Shift, width: float, near_curve: bool) -> bool:
        """Whether the name of a point is clear of everything and clearly that point's.

        ``near_curve`` says whether it may be on the curve.
        """
        box, line = self._at(number, shift, width)
        own = _gap(self.marks[number], box)
        others = [
            (mark, radius)
            for each, (mark, radius) in enumerate(zip(self.marks, self.radii, strict=True))
            if each != number
        ]
        return (
            not outside(box, self.area)
            and not any(shared_area(box, name) or _crosses(line, name) for name in self.names)
            and not any(_crosses(other, box) for other in self.lines)
            and all(_gap(mark, box) >= radius + ROOM for mark, radius in others)
            and (
                self.plot.touching
                or all(_from_line(mark, *line) >= radius for mark, radius in others)
            )
            and (
                own >= self.radii[number] + SEEN or all(own < _gap(mark, box) for mark, _ in others)
            )
            and (near_curve or all(_gap(at, box) >= STEP for at in self.curve))
        )

    def take(self, number: int, shift: Shift, width: float) -> None:
        box, line = self._at(number, shift, width)
        self.names.append(box)
        self.lines.append(line)

    def _at(self, number: int, shift: Shift, width: float) -> tuple[Box, tuple[Point, Point]]:
        """Return the box of a point's name, and the line to the box's middle."""
        own = self.marks[number]
        center = own[0] + shift[0], own[1] + shift[1]
        inside = self.radii[number] / hypot(*shift) if self.plot.overlapping else 0.0
        start = own[0] + inside * shift[0], own[1] + inside * shift[1]
        return box_at(*center, width, LINE), (start, center)


def _along(one: Point, two: Point, step: float = STEP) -> Iterator[Point]:
    """Yield points of a segment, at most ``step`` pixels apart."""
    parts = max(ceil(dist(one, two) / step), 1)
    for part in range(parts + 1):
        share = part / parts
        yield one[0] + share * (two[0] - one[0]), one[1] + share * (two[1] - one[1])


def _crosses(line: tuple[Point, Point], box: Box) -> bool:
    """Whether a line touches a box, also at a corner, between points of a coarser step."""
    return any(_gap(at, box) < 1 for at in _along(*line, step=1))


def _gap(point: Point, box: Box) -> float:
    """Return the distance of a point to a box."""
    across = max(box[0] - point[0], 0.0, point[0] - box[2])
    along = max(box[1] - point[1], 0.0, point[1] - box[3])
    return hypot(across, along)


def _from_line(point: Point, one: Point, two: Point) -> float:
    """Return the distance of a point to a segment."""
    length = dist(one, two)
    if not length:
        return dist(point, one)
    ahead = (point[0] - one[0]) * (two[0] - one[0]) + (point[1] - one[1]) * (two[1] - one[1])
    share = min(max(ahead / length**2, 0.0), 1.0)
    foot = one[0] + share * (two[0] - one[0]), one[1] + share * (two[1] - one[1])
    return dist(point, foot)
