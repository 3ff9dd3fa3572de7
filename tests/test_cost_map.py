"""The chart of costs shows every network it is given, however small or large."""

from __future__ import annotations

from math import log10

import pytest

from roadmap.charts import cost_map
from roadmap.charts.costs import FAMILIES, START
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
