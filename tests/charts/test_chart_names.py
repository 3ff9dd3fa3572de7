"""Names in a chart: whatever the points and the width, a name is clearly one point's."""

from __future__ import annotations

from math import dist, hypot

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roadmap.charts.names import Plot, place_names

SPANS = ((0.0, 1.0), (0.0, 1.0))
HEIGHT, RADIUS = 400, 7.0
LETTER, LINE = 7.0, 14.0
#: Points all over a chart, and a crowd.
SPARSE = st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98))
DENSE = st.tuples(st.floats(0.35, 0.6), st.floats(0.4, 0.6))


def placed(points, names, widths=(290, 500, 1000), curve=()):
    return place_names(
        points,
        [RADIUS] * len(points),
        names,
        Plot(SPANS, [(width, HEIGHT) for width in widths], curve),
    )


#: A line to a name goes by the corner of another one.
CORNER = [(64, 96), (32, 64), (64, 64), (64, 32), (57, 62), (73, 62), (64, 48)]


def gap(point, box):
    left, bottom, right, top = box
    return hypot(
        max(left - point[0], 0, point[0] - right), max(bottom - point[1], 0, point[1] - top)
    )


def drawn(points, names, shifts, width):
    """Marks, and a box and a line by the number of each name, in a chart of ``width`` pixels."""
    marks = [(x * width, y * HEIGHT) for x, y in points]
    boxes, lines = {}, {}
    for number, (name, shift) in enumerate(zip(names, shifts, strict=True)):
        if shift is not None:
            x, y = marks[number][0] + shift[0], marks[number][1] + shift[1]
            half = LETTER * len(name) / 2
            boxes[number] = (x - half, y - LINE / 2, x + half, y + LINE / 2)
            steps = [step / 200 for step in range(201)]
            lines[number] = [
                (marks[number][0] + at * shift[0], marks[number][1] + at * shift[1]) for at in steps
            ]
    return marks, boxes, lines


@example([(x / 128, y / 128) for x, y in CORNER], 6)
@settings(max_examples=300)
@given(
    st.lists(SPARSE, min_size=1, max_size=30) | st.lists(DENSE, min_size=8, max_size=20),
    st.integers(1, 8),
)
def test_a_name_covers_nothing_and_its_line_leads_to_its_point_alone(points, named):
    names = [f"network_{'x' * number}" for number in range(min(named, len(points)))]
    shifts = placed(points, names)
    for width in (290, 500, 1000):
        marks, boxes, lines = drawn(points, names, shifts, width)
        for number, box in boxes.items():
            assert box[0] >= 0
            assert box[2] <= width
            assert all(gap(mark, box) > RADIUS for mark in marks)
            others = [mark for each, mark in enumerate(marks) if each != number]
            line = [at for at in lines[number] if gap(at, box) > 0]
            assert all(dist(mark, at) > RADIUS - 1 for mark in others for at in line)
            seen = gap(marks[number], box) - RADIUS >= 5
            assert seen or gap(marks[number], box) < min([gap(at, box) for at in others] or [1e9])
            for other, theirs in boxes.items():
                if other != number:
                    assert box[2] <= theirs[0] or theirs[2] <= box[0] or (
                        box[3] <= theirs[1] or theirs[3] <= box[1]
                    )  # fmt: skip
                    assert all(gap(at, theirs) > 0 for at in line)


def test_a_name_without_a_place_is_left_out_and_a_free_one_stays():
    crowd = [(0.5 + x / 60, 0.5 + y / 60) for x in range(-9, 10) for y in range(-9, 10)]
    middle = crowd.pop(len(crowd) // 2)
    names = ["in_the_middle", "free"]
    assert placed([middle, (0.1, 0.1), *crowd], names, widths=[500])[0] is None
    assert placed([middle, (0.1, 0.1), *crowd], names, widths=[500])[1] is not None


def test_two_networks_at_one_place_have_no_name():
    assert placed([(0.5, 0.5), (0.5, 0.5)], ["one"]) == [None]


@pytest.mark.parametrize("curve", [(), ((0.5, 0.5), (0.5, 1.0))])
def test_names_keep_off_the_curve(curve):
    (shift,) = placed([(0.5, 0.5)], ["name"], curve=curve)
    assert shift is not None
    assert (shift[1] > 0) == (not curve)
