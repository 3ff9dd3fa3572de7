"""The chart of costs shows every network it is given, however small or large."""

from __future__ import annotations

from itertools import combinations
from math import dist, log10

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from roadmap.charts import cost_map
from roadmap.charts.costs import AREAS, FAMILIES, START
from roadmap.charts.labels import LETTER, LINE, in_pixels
from roadmap.views.builder.tables import known_networks


@pytest.mark.parametrize("point", [(1e-6, 1e-4), (4.5, 28.6), (1e6, 1e6)])
def test_every_point_is_within_the_axes(point):
    figure = cost_map(known_networks(), [("A", *point), (START, 4.0, 25.0)])
    for axis, values in ((figure.layout.xaxis, "x"), (figure.layout.yaxis, "y")):
        low, high = axis.range
        shown = [log10(value) for trace in figure.data for value in trace[values]]
        assert low < min(shown)
        assert max(shown) < high
        ticks = [tick for tick in axis.tickvals if low <= log10(tick) <= high]
        assert 3 <= len(ticks) <= 15


def test_families_have_all_their_networks_and_signs_of_their_own():
    table = known_networks()
    figure = cost_map(table, [])
    drawn = {trace.name: list(trace.customdata) for trace in figure.data}
    assert drawn == {name: list(table[table["family"] == name]["name"]) for name in FAMILIES}
    assert drawn["ConvNeXt"] == [f"ConvNeXt-{size}" for size in ("T", "S", "B", "L", "XL")]
    assert drawn["Swin"] == ["Swin-T", "Swin-S", "Swin-B", "Swin-L"]
    assert len({family.symbol for family in FAMILIES.values()}) == len(FAMILIES)


def test_the_start_is_joined_to_what_is_edited():
    figure = cost_map(known_networks(), [("B", 5.0, 30.0), (START, 4.0, 25.0), ("A", 9.0, 9.0)])
    (joined,) = (trace for trace in figure.data if trace.mode == "lines")
    assert (list(joined.x), list(joined.y)) == ([4.0, 5.0], [25.0, 30.0])


KNOWN = known_networks()
STEPS = KNOWN[KNOWN["family"] == "ResNet-50 steps"]
#: A step, and its costs times something, as after a change or two.
NETWORKS = some.tuples(
    some.sampled_from(list(zip(STEPS["gflops"], STEPS["params"], strict=True))),
    some.tuples(some.floats(0.85, 1.15), some.floats(0.85, 1.15)),
).map(lambda found: (found[0][0] * found[1][0], found[0][1] * found[1][1]))


def built_labels(figure):
    """The notes of the built networks, by label; networks at the same place share a note."""
    bold = [note for note in figure.layout.annotations if note.text.startswith("<b>")]
    return {name: note for note in bold for name in note.text[3:-4].split(", ")}


@settings(max_examples=80, deadline=None)
@given(NETWORKS, NETWORKS, NETWORKS)
@example((5.2, 27.6), (4.65, 25.9), (4.15, 25.8))  # where fixed sides put A under B and Start
@example((4.09, 29.15), (9.0, 30.0), (4.15, 28.3))  # no room for a label each
@example((4.694, 26.83), (5.225, 24.24), (4.089, 25.56))  # nor for one of all three
def test_built_networks_have_labels_that_cover_no_ring_and_no_label(a, start, b):
    figure = cost_map(KNOWN, [("A", *a), (START, *start), ("B", *b)])
    labels = built_labels(figure)
    assert set(labels) == {"A", START, "B"}
    spans = figure.layout.xaxis.range, figure.layout.yaxis.range
    for area in AREAS:
        boxes = []
        for note in figure.layout.annotations:
            x, y = in_pixels((note.x, note.y), spans, area)
            half = LETTER * len(note.text.removeprefix("<b>").removesuffix("</b>")) / 2
            x, y = x + note.ax, y - note.ay
            boxes.append((x - half, y - LINE / 2, x + half, y + LINE / 2))
        for one, other in combinations(boxes, 2):
            assert (
                one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            )
        for box in boxes:
            for network in labels.values():
                at = in_pixels((network.x, network.y), spans, area)
                nearest = (
                    min(max(at[0], box[0]), box[2]),
                    min(max(at[1], box[1]), box[3]),
                )
                assert dist(at, nearest) >= 10


def test_three_with_overlapping_rings_have_a_label_each():
    figure = cost_map(KNOWN, [("A", 5.2, 27.6), (START, 4.65, 25.9), ("B", 4.15, 25.8)])
    texts = [note.text for note in figure.layout.annotations]
    assert texts[:3] == ["<b>A</b>", f"<b>{START}</b>", "<b>B</b>"]


def test_networks_at_the_same_place_share_a_label_and_so_do_families_of_a_size():
    figure = cost_map(KNOWN, [("A", 4.1, 25.6), (START, 4.11, 25.6), ("B", 9.0, 30.0)])
    texts = [note.text for note in figure.layout.annotations]
    assert texts[:2] == ["<b>A, Start</b>", "<b>B</b>"]
    assert [note.text for note in cost_map(KNOWN, []).layout.annotations] == [*"TSBL", "XL"]
