"""Labels beside points so that they cover neither points, nor their bars, nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

Point = tuple[float, float]
Box = tuple[float, float, float, float]
#: A digit's or letter's width and a line's height at 12 pixels, and the gap to the point.
LETTER, LINE, GAP = 7.0, 14.0, 9.0
POINT_RADIUS = 6.0
BAR_WIDTH = 3.0


def place_labels(
    points: Sequence[Point],
    texts: Sequence[str],
    *,
    spans: tuple[Point, Point],
    area: tuple[int, int],
    bars: Sequence[Point] = (),
) -> list[tuple[int, int]]:
    """Pixels (right, up) from each point to the centre of its label.

    ``spans`` are the ranges of both axes over ``area`` pixels, ``bars`` the lower and upper end of
    each point's error bar. Point by point the direction is taken that overlaps least with all
    points and bars, with labels already placed and with the frame.
    """
    pixels = [in_pixels(point, spans, area) for point in points]
    taken = [box_at(x, y, 2 * POINT_RADIUS, 2 * POINT_RADIUS) for x, y in pixels]
    for (x, _), (low, high) in zip(points, bars, strict=True) if bars else ():
        (middle, bottom), (_, top) = (in_pixels((x, end), spans, area) for end in (low, high))
        taken.append(box_at(middle, (bottom + top) / 2, BAR_WIDTH, top - bottom))
    shifts = []
    for (x, y), text in zip(pixels, texts, strict=True):
        width = LETTER * len(text)
        candidates = [
            (across * (GAP + width / 2), along * (GAP + LINE / 2) * (0.75 if across else 1))
            for across, along in product((0, 1, -1), (1, -1, 0))
            if across or along
        ]
        boxes = [box_at(x + dx, y + dy, width, LINE) for dx, dy in candidates]
        costs = [2 * outside(box, area) + sum(shared_area(box, b) for b in taken) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        shifts.append((round(candidates[best][0]), round(candidates[best][1])))
    return shifts


def in_pixels(point: Point, spans: tuple[Point, Point], area: tuple[int, int]) -> Point:
    """Where a point is, from the lower left corner of ``area`` pixels over ``spans``."""
    (left, right), (low, high) = spans
    return (
        (point[0] - left) / (right - left) * area[0],
        (point[1] - low) / (high - low) * area[1],
    )


def box_at(x: float, y: float, width: float, height: float) -> Box:
    """Left, bottom, right and top of a box about ``x`` and ``y``."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def shared_area(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def outside(box: Box, area: tuple[int, int]) -> float:
    """The area of ``box`` that is not in ``area``."""
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return whole - shared_area(box, (0, 0, *area))
