"""The charts show the table they are given."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap import charts
from roadmap.charts.labels import place_labels
from roadmap.steps import ROADMAPS
from roadmap.tables.results import roadmap_table
from roadmap.text import change, number, telling

TOP1 = charts.METRICS["top1"]


def table(name: str = "resnet50"):
    frame = roadmap_table(name)
    if frame.get("top1_std") is not None:
        frame["top1_low"] = frame["top1"] - frame["top1_std"]
        frame["top1_high"] = frame["top1"] + frame["top1_std"]
    return frame


def texts(figure) -> list[str]:
    """Everything the figure prints beside its axis."""
    layout = figure.layout
    columns = (layout.yaxis2, layout.yaxis3, layout.yaxis4)
    printed = [text for column in columns for text in column.ticktext]
    return printed + [annotation.text for annotation in layout.annotations]


@pytest.mark.parametrize("roadmap", ROADMAPS)
@pytest.mark.parametrize("metric", ["gflops", "params"])
def test_bars_are_as_long_as_the_tables_values(roadmap, metric):
    frame = table(roadmap)
    figure = charts.roadmap_bars(frame, charts.METRICS[metric])
    bars = figure.data[1]
    assert list(bars.x) == pytest.approx(list(frame[metric]), nan_ok=True)
    assert bars.base == figure.layout.xaxis.range[0] == 0


@pytest.mark.parametrize("roadmap", ROADMAPS)
def test_where_bars_would_be_cut_there_are_dots_and_changes(roadmap):
    frame = table(roadmap)
    figure = charts.roadmap_bars(frame)
    changes, dots = figure.data[1], dots_of(figure)
    assert list(dots.x) == pytest.approx(list(frame["top1"]), nan_ok=True)
    for place, step in enumerate(ROADMAPS[roadmap].steps):
        before = ROADMAPS[roadmap].previous(step.key)
        start = frame["top1"][before.key] if before else math.nan
        assert changes.base[place] == pytest.approx(start, nan_ok=True)
        assert changes.base[place] + changes.x[place] == pytest.approx(
            dots.x[place] if before else math.nan, nan_ok=True
        )
    low, high = figure.layout.xaxis.range
    assert all(low < x < high for x in dots.x if not math.isnan(x))


def test_without_a_step_before_dots_have_no_changes():
    figure = charts.roadmap_bars(table().drop(columns="previous"))
    assert all(math.isnan(x) for x in figure.data[1].x)
    assert {"Top-1 %", "GFLOPs"} <= set(texts(figure))


def dots_of(figure):
    (dots,) = (t for t in figure.data if t.type == "scatter" and t.marker.size == 9)
    return dots


def test_rows_carry_the_keys_and_cover_the_axis():
    rows = charts.roadmap_bars(table()).data[0]
    assert tuple(rows.customdata) == ROADMAPS["resnet50"].keys
    low, high = charts.roadmap_bars(table()).layout.xaxis.range
    assert (rows.base, rows.base + rows.x[0]) == pytest.approx((low, high))
    assert rows.hoverinfo == "none"  # "skip" would make the rows deaf to clicks


def test_steps_that_were_not_adopted_are_hatched_or_open():
    frame = table()
    tried = [not adopted for adopted in frame["adopted"]]
    shapes = charts.roadmap_bars(frame, charts.METRICS["gflops"]).data[1].marker.pattern.shape
    assert [bool(shape) for shape in shapes] == tried
    symbols = dots_of(charts.roadmap_bars(frame)).marker.symbol
    assert [symbol == "circle-open" for symbol in symbols] == tried


def test_whiskers_stand_where_there_is_a_deviation():
    whiskers = charts.roadmap_bars(table()).data[2]
    assert len(whiskers.x) == 16
    assert list(whiskers.error_x.array) == pytest.approx(list(table()["top1_std"].dropna()))
    without = charts.roadmap_bars(table(), charts.METRICS["params"])
    assert not any(trace.error_x.array for trace in without.data if trace.type == "scatter")


def test_ticks_stand_where_there_is_another_speed():
    frame = table()
    speed = charts.METRICS["images_per_s"]
    frame["images_per_s"] = 1000.0
    assert not any(t.error_y.visible or t.error_y.value for t in scatters(frame, speed))
    frame.loc[["kernel_7", "gelu"], "images_per_s_torch"] = 400.0
    (ticks,) = (t for t in scatters(frame, speed) if t.error_y.value)
    assert list(ticks.x) == [400, 400]


def scatters(frame, metric) -> list:
    return [t for t in charts.roadmap_bars(frame, metric).data if t.type == "scatter"]


def test_selected_row_is_banded_and_bold():
    figure = charts.roadmap_bars(table(), selected="kernel_7")
    assert list(figure.data[0].selectedpoints) == [ROADMAPS["resnet50"].keys.index("kernel_7")]
    assert "<b>Kernel size 7</b>" in texts(figure)
    assert "<b>80.57</b>" in texts(figure)
    assert len(figure.layout.shapes) == 2
    plain = charts.roadmap_bars(table(), selected="nowhere")
    assert not plain.data[0].selectedpoints
    assert not plain.layout.shapes


def test_reference_is_a_dashed_line_within_the_axis():
    figure = charts.roadmap_bars(table(), TOP1, reference=("Swin-X", 85.0))
    (line,) = figure.layout.shapes
    assert (line.x0, line.x1, line.line.dash) == (85.0, 85.0, "dash")
    assert figure.layout.xaxis.range[1] > 85
    assert "Swin-X 85.00" in texts(figure)


def test_every_row_prints_its_figures_at_its_height():
    figure = charts.roadmap_bars(table())
    column, second = figure.layout.yaxis3, figure.layout.yaxis4
    assert list(column.ticktext) == [number(value, 2) for value in table()["top1"]]
    assert second.ticktext[:3] == ("–", "+2.69", "+0.54")
    places = [ROADMAPS["resnet50"].keys.index(key) for key in ("kernel_11", "gelu")]
    assert [second.ticktext[place] for place in places] == ["−0.10", "+0.05"]  # both after 7
    assert column.tickvals == second.tickvals == figure.data[1].y
    ranges = {figure.layout[axis].range for axis in ("yaxis", "yaxis2", "yaxis3", "yaxis4")}
    assert len(ranges) == 1


def test_groups_are_named_in_order_above_their_bars():
    figure = charts.roadmap_bars(table())
    groups = list(dict.fromkeys(table()["group"]))
    axis = figure.layout.yaxis2
    names = dict(zip(axis.ticktext, axis.tickvals, strict=True))
    heights = [names[f"<b>{group}</b>"] for group in groups]
    assert heights == sorted(heights)
    first = {group: list(table()["group"]).index(group) for group in groups}
    bars = figure.data[1].y
    assert all(names[f"<b>{group}</b>"] < bars[first[group]] for group in groups)


def test_missing_values_are_dashes_and_no_bars():
    frame = table()
    frame.loc["kernel_5", "gflops"] = float("nan")
    figure = charts.roadmap_bars(frame, charts.METRICS["gflops"])
    row = ROADMAPS["resnet50"].keys.index("kernel_5")
    assert json.loads(figure.to_json())["data"][1]["x"][row] is None
    assert "–" in texts(figure)


def test_second_column_is_never_the_first():
    assert {"Top-1 %", "Change"} <= set(texts(charts.roadmap_bars(table())))
    assert {"Top-1 %", "GFLOPs"} <= set(
        texts(charts.roadmap_bars(table(), charts.METRICS["gflops"]))
    )


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(80.5, 2, "80.50"), (12345.6, 0, "12,346"), (-0.5, 1, "−0.5"), (None, 2, "–")],
)
def test_numbers(value, decimals, text):
    assert number(value, decimals) == text


@pytest.mark.parametrize(
    ("after", "before", "text"),
    [
        (80.57, 80.35, "+0.22"),
        (4.07, 4.64, "−0.57"),
        (4.1492, 4.1508, "±0"),  # printed alike, so no change is printed
        (1.0, float("nan"), "–"),
    ],
)
def test_changes(after, before, text):
    assert change(after, before, 2) == text


@pytest.mark.parametrize(
    ("after", "before", "decimals"),
    [(28.6, 33.8, 1), (28.64212, 28.58913, 2), (28.6355, 28.64212, 3), (4.15, 4.15, 1)],
)
def test_decimals_that_show_a_change(after, before, decimals):
    assert telling(after, before, 1) == decimals


@pytest.mark.parametrize("roadmap", ["resnet50", "resnet200"])
@pytest.mark.parametrize("cost", ["gflops", "params"])
def test_the_path_goes_through_the_tables_points(roadmap, cost):
    whole = table(roadmap)
    drawn = charts.roadmap_path(whole, charts.METRICS[cost], "kernel_9", ("Swin", 4.5, 81.3))
    frame = whole[whole["top1"].notna()]
    points = next(trace for trace in drawn.data if trace.customdata is not None)
    assert list(points.customdata) == list(frame["key"])
    assert list(points.x) == pytest.approx(list(frame[cost]))
    assert list(points.y) == pytest.approx(list(frame["top1"]))
    arrows = [note for note in drawn.layout.annotations if note.showarrow]
    assert len(arrows) == len(frame) - 1
    last = frame.loc["gelu"]  # continues from 7, which was adopted, not from 11
    start = next(note for note in arrows if (note.x, note.y) == (last[cost], last["top1"]))
    assert (start.ax, start.ay) == tuple(frame.loc["kernel_7", [cost, "top1"]])
    numbers = [note.text for note in drawn.layout.annotations if not note.showarrow]
    assert numbers == [str(n) if n != 11 else "<b>11</b>" for n in range(1, 18)] + ["Swin"]


def test_a_step_without_a_cost_is_left_out_and_keeps_its_number():
    frame = table()
    frame.loc["kernel_5", "gflops"] = None
    drawn = charts.roadmap_path(frame)
    points = next(trace for trace in drawn.data if trace.customdata is not None)
    assert "kernel_5" not in points.customdata
    numbers = [note.text for note in drawn.layout.annotations if not note.showarrow]
    assert "9" not in numbers
    assert "17" in numbers


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12),
)
def test_labels_stay_inside_where_there_is_room(points):
    area = (300, 400)
    shifts = place_labels(points, ["12"] * len(points), spans=((-0.1, 1.1), (-0.1, 1.1)), area=area)
    for (x, y), (right, up) in zip(points, shifts, strict=True):
        assert (right, up) != (0, 0)
        assert 0 <= (x + 0.1) / 1.2 * 300 + right <= 300
        assert 0 <= (y + 0.1) / 1.2 * 400 + up <= 400


@given(st.floats(0.2, 0.8), st.floats(0.2, 0.8))
def test_a_label_is_beside_its_error_bar(x, y):
    place = {"spans": ((0, 1), (0, 1)), "area": (300, 400)}
    [(right, _)] = place_labels([(x, y)], ["12"], **place)
    assert right == 0  # above the point, where there is no bar
    [(right, _)] = place_labels([(x, y)], ["12"], bars=[(y - 0.2, y + 0.2)], **place)
    assert abs(right) > 7  # half of its width


def test_two_neighbors_are_labeled_apart():
    shifts = place_labels(
        [(0.5, 0.5), (0.52, 0.5)], ["10", "11"], spans=((0, 1), (0, 1)), area=(300, 300)
    )
    assert shifts[0] != shifts[1]


@pytest.mark.parametrize("reach", [1, 3])
def test_in_a_crowd_every_label_is_nearest_to_its_own_point(reach):
    points = [(0.5, 0.5 + number / 40) for number in range(6)]  # 10 pixels apart
    texts = [str(number) for number in range(10, 16)]
    shifts = place_labels(
        points, texts, spans=((0, 1), (0, 1)), area=(300, 400), bars=[(0.2, 0.9)] * 6, reach=reach
    )
    strange = []
    for (_, y), (right, up) in zip(points, shifts, strict=True):
        away = [math.hypot(right, 400 * (y - other) + up) for _, other in points]
        strange.append(min(away) < math.hypot(right, up))
    assert not any(strange)
