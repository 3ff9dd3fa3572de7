"""The charts of a run in progress."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from roadmap.charts.live import MOST_TICKS, MOST_TIPS, Curve, _ticks, live_chart

NAMES = {"now": "Seed 2", "earlier": "2 other seeds", "before": "ResNet, 1 seed"}


def drawn(*curves, epochs=8, **more):
    return live_chart(curves, NAMES, epochs, "Top-1", "alt", 2, **more)


def points(chart):
    found = re.findall(r'<polyline class="(\w+)" points="([^"]*)"', chart)
    return [
        (role, [tuple(map(float, point.split(","))) for point in text.split()])
        for role, text in found
    ]


@given(some.floats(-1e6, 1e6), some.floats(1e-6, 1e6))
def test_ticks_are_few_and_enclose_the_values(low, width):
    ticks = _ticks(low, low + width)
    assert 2 <= len(ticks) <= MOST_TICKS
    slack = 1e-6 * (ticks[1] - ticks[0]) + 1e-9
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + width - slack


@pytest.mark.parametrize("epochs", [1, 2, 7, 15, 90, 300])
def test_epochs_have_whole_ticks(epochs):
    ticks = _ticks(0, epochs, whole=True)
    assert all(tick == int(tick) for tick in ticks)
    assert len(ticks) <= MOST_TICKS


def test_a_curve_is_drawn_to_scale_and_this_run_is_on_top():
    chart = drawn(
        Curve("now", [2, 4], [40.0, 60.0]),
        Curve("before", [2, 8], [20.0, 100.0]),
        Curve("earlier", [], []),
    )
    assert points(chart) == [
        ("before", [(25, 100), (100, 0)]),  # the axis is from 20 to 100
        ("now", [(25, 75), (50, 50)]),
    ]


def test_a_zoomed_chart_leaves_out_the_steep_beginning_once_it_is_over():
    before = Curve("before", [1, 2, 4, 8], [10.0, 40.0, 70.0, 74.0])
    early = drawn(before, Curve("now", [1], [9.0]), zoomed=True)
    late = drawn(before, Curve("now", [1, 2, 3], [9.0, 50.0, 71.0]), zoomed=True)
    assert '">0</span>' in early.split("<svg")[0]
    assert "onward" not in early
    assert "(scaled to epoch 3 onward)</figcaption>" in late
    assert re.findall(r'class="y"[^>]*>([\d.]+)<', late) == ["70", "71", "72", "73", "74"]


def test_values_under_the_pointer_are_means_by_role():
    chart = drawn(
        Curve("now", [1, 2], [50.0, 60.0]),
        Curve("earlier", [1, 2], [40.0, 50.0]),
        Curve("earlier", [1, 2], [42.0, 51.0]),
        Curve("before", [1], [30.0]),
    )
    assert "Epoch 1<br>Seed 2: 50.00<br>2 other seeds: mean 41.00<br>ResNet, 1 seed: 30.00" in chart
    assert "Epoch 2<br>Seed 2: 60.00<br>2 other seeds: mean 50.50</span>" in chart


def test_a_long_run_has_few_places_for_the_pointer_the_last_epoch_among_them():
    epochs = list(range(1, 301))
    chart = drawn(Curve("now", epochs, [float(epoch) for epoch in epochs]), epochs=300)
    assert chart.count('class="tip"') <= MOST_TIPS
    assert "Epoch 300<br>" in chart


def test_a_chart_without_values_or_with_equal_ones_is_drawn():
    assert points(drawn()) == []
    ((_, place),) = points(drawn(Curve("now", [1], [98.59])))
    assert len(set(place)) == 1
    assert "<script>" not in live_chart([], NAMES, 3, "<script>", '"><script>', 2)
