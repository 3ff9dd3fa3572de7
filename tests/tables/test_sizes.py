"""The table of sizes joins what is published without losing or inventing a row."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap.charts.sizes import COSTS, HEIGHT, LARGEST, MEMORY, areas, bubble, sizes_chart
from roadmap.tables.results import read_rows
from roadmap.tables.sizes import TEST_SETS, pareto_front, sizes_table

TABLE = sizes_table()
FIGURES = st.floats(0, 100).map(lambda value: round(value))
POINTS = st.lists(st.tuples(FIGURES, FIGURES), min_size=1, max_size=30)


def row(label: str) -> pd.Series:
    (found,) = (found for _, found in TABLE.iterrows() if found["label"] == label)
    return found


def test_every_published_row_is_there_once():
    paper = {
        (r["model"], "", int(r["image_size"]), r["pretraining"])
        for r in read_rows("paper/paper_variants")
    }
    timm = {
        (r["name"], r["recipe"], int(r["img_size"]), r["pretraining"])
        for r in read_rows("paper/published_models")
    }
    there = list(TABLE[["name", "recipe", "image_size", "pretraining"]].itertuples(index=False))
    assert len(there) == len(set(there)) == len(paper | timm)
    assert {tuple(place) for place in there} == paper | timm
    assert TABLE["key"].is_unique


def test_figures_come_from_their_sources():
    tiny = row("ConvNeXt-T")
    assert (tiny["top1"], tiny["gflops"], tiny["a100"], tiny["sketch"]) == (
        82.1,
        4.5,
        1943.5,
        33.825,
    )
    assert tiny["source"] == "paper"
    resnet = row("ResNet-50, timm A1")
    assert (resnet["top1"], resnet["source"]) == (80.382, "timm")
    assert resnet["gflops"] == pytest.approx(4.089184256)
    assert pd.isna(resnet["a100"])
    assert row("ConvNeXt-S, 22K")["params"] == 50.22  # of the network, whatever it was trained on


def test_every_row_has_a_place_on_the_main_axes():
    assert TABLE[["gflops", "params", "top1", "family"]].notna().all(axis=None)


@given(POINTS, st.booleans())
def test_the_front_is_what_no_other_point_beats(points, more_is_better):
    table = pd.DataFrame(points, columns=["x", "y"])
    front = pareto_front(table, "x", "y", more_is_better=more_is_better)
    sign = 1 if more_is_better else -1

    def beats(one, other) -> bool:
        better = sign * one[0] >= sign * other[0] and one[1] >= other[1]
        return better and tuple(one) != tuple(other)

    expected = {point for point in points if not any(beats(one, point) for one in points)}
    assert set(front.itertuples(index=False, name=None)) == expected
    assert list(front["x"]) == sorted(front["x"])


def test_rows_without_a_figure_are_not_on_the_front():
    table = pd.DataFrame({"x": [1.0, None, 2.0], "y": [5.0, 9.0, None]})
    assert list(pareto_front(table, "x", "y", more_is_better=False).index) == [0]


@pytest.mark.parametrize("test_set", TEST_SETS)
@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)
def test_the_chart_has_a_mark_for_every_row_with_both_figures(cost, test_set):
    figure = sizes_chart(TABLE, cost, test_set, "convnext-t")
    drawn = {
        key: (x, y)
        for trace in figure.data
        if trace.customdata is not None
        for key, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }
    rows = TABLE.dropna(subset=[cost.column, test_set]).set_index("key")
    expected = rows[[cost.column, test_set]].itertuples(index=False, name=None)
    assert drawn == dict(zip(rows.index, expected, strict=True))
    assert TEST_SETS[test_set] in figure.layout.yaxis.title.text


def test_labels_are_on_points_and_apart():
    for cost in COSTS.values():
        labels = sizes_chart(TABLE, cost).layout.annotations
        assert len(labels) >= 4
        places = [(label.x, label.y) for label in labels]
        assert len(places) == len(set(places))


@pytest.mark.parametrize("cost", COSTS.values(), ids=list(COSTS))
def test_labels_cover_no_mark_on_a_page_of_any_width(cost):
    figure = sizes_chart(TABLE, cost)
    (left, right), (low, high) = figure.layout.xaxis.range, figure.layout.yaxis.range
    for width, height in areas(HEIGHT):

        def pixels(
            x: float, y: float, width: int = width, height: int = height
        ) -> tuple[float, float]:
            return (x - left) / (right - left) * width, (y - low) / (high - low) * height

        marks = [
            pixels(math.log10(x), y)
            for trace in figure.data
            if trace.customdata is not None
            for x, y in zip(trace.x, trace.y, strict=True)
        ]
        for label in figure.layout.annotations:
            x, y = pixels(label.x, label.y)
            x, y = x + label.ax, y - label.ay
            half = 3 * len(label.text), 6
            covered = [m for m in marks if abs(m[0] - x) < half[0] and abs(m[1] - y) < half[1]]
            assert not covered, label.text


def test_area_is_in_proportion_to_memory():
    assert bubble(MEMORY) == LARGEST
    assert bubble(MEMORY / 4) == LARGEST / 2
    assert bubble(float("nan")) == bubble(0.001)


def test_costs_that_sources_round_differently_count_as_equal():
    table = pd.DataFrame({"x": [15.38, 15.4], "y": [84.9, 85.8]})
    assert list(pareto_front(table, "x", "y", more_is_better=False).index) == [1]
