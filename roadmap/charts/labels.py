"""Placement of labels beside points without covering points, error bars or other labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import dist, hypot

Point = tuple[float, float]
Box = tuple[float, float, float, float]
#: Width of a character and height of a line at 12 pixels, and the gap to the point.
LETTER, LINE, GAP = 7.0, 14.0, 9.0
POINT_RADIUS = 6.0
BAR_WIDTH = 3.0
#: Overlap, in square pixels, that is accepted before a label moves one line further away from its
#: point, and before it is placed nearer to another point.
FURTHER, STRANGE = 30.0, 100.0


def place_labels(
    points: Sequence[Point],
    texts: Sequence[str],
    *,
    spans: tuple[Point, Point],
    area: tuple[int, int],
    bars: Sequence[Point] = (),
    reach: int = 1,
) -> list[tuple[int, int]]:
    """Return the offset in pixels (right, up) from each point to the center of its label.

    ``spans`` are the ranges of both axes over ``area`` pixels, ``bars`` the lower and upper ends of
    each point's error bar. Each point in turn gets the direction with the least overlap with
    points, bars, placed labels and the frame, and in which the label is nearer to its own point
    than to others. Where points are dense, labels may be up to ``reach`` lines away; the caller
    then draws a line from each label to its point.
    """
    pixels = [in_pixels(point, spans, area) for point in points]
    marks = [box_at(x, y, 2 * POINT_RADIUS, 2 * POINT_RADIUS) for x, y in pixels]
    taken = [*marks, *marks]  # covering a mark counts twice
    for (x, _), (low, high) in zip(points, bars, strict=True) if bars else ():
        (middle, bottom), (_, top) = (in_pixels((x, end), spans, area) for end in (low, high))
        taken.append(box_at(middle, (bottom + top) / 2, BAR_WIDTH, top - bottom))
    directions = [to for to in product((0, 1, -1), (1, -1, 0)) if any(to)]
    ways = list(product(range(reach), directions))
    shifts = []
    for (x, y), text in zip(pixels, texts, strict=True):
        width = LETTER * len(text)
        candidates = [(further, *_shift(further, *to, width)) for further, to in ways]
        boxes = [box_at(x + dx, y + dy, width, LINE) for _, dx, dy in candidates]
        costs = [
            2 * outside(box, area)
            + sum(shared_area(box, b) for b in taken)
            + FURTHER * further
            + STRANGE * _is_strange((x, y), (dx, dy), pixels)
            for box, (further, dx, dy) in zip(boxes, candidates, strict=True)
        ]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        shifts.append((round(candidates[best][1]), round(candidates[best][2])))
    return shifts


def _shift(further: int, across: int, along: int, width: float) -> Point:
    """Return the offset of a label of ``width`` in a direction, ``further`` lines away."""
    return (
        across * (GAP + width / 2 + further * LINE),
        along * (GAP + LINE / 2) * (0.75 if across else 1) + along * further * LINE,
    )


def _is_strange(own: Point, shift: Point, points: Sequence[Point]) -> bool:
    """Whether a label at offset ``shift`` from its ``own`` point is nearer to another point."""
    label = own[0] + shift[0], own[1] + shift[1]
    return min(dist(label, point) for point in points) < hypot(*shift)


def in_pixels(point: Point, spans: tuple[Point, Point], area: tuple[int, int]) -> Point:
    """Convert a point in ``spans`` to pixels from the lower left corner of ``area``."""
    (left, right), (low, high) = spans
    return (
        (point[0] - left) / (right - left) * area[0],
        (point[1] - low) / (high - low) * area[1],
    )


def box_at(x: float, y: float, width: float, height: float) -> Box:
    """Return left, bottom, right and top of a box centered at ``x`` and ``y``."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def shared_area(one: Box, other: Box) -> float:
    """Return the area of the overlap of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def outside(box: Box, area: tuple[int, int]) -> float:
    """Return the area of ``box`` outside ``area``."""
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return whole - shared_area(box, (0, 0, *area))
