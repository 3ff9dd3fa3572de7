"""The charts of a trained roadmap show the table they are given."""

from __future__ import annotations

from itertools import pairwise

import pytest
from fake_runs import CHANGES, write_ablation
from hypothesis import given
from hypothesis import strategies as st

from roadmap.analysis.ablation import analyse
from roadmap.analysis.table import ablation_table, curve_table, rows
from roadmap.charts import ablation as charts
from roadmap.charts.ablation import SIGNS
from roadmap.charts.curves import MEASURES, curves_chart, learning_curves, mean_curves, spread
from roadmap.charts.ranks import rank_slopes
from roadmap.report.figures_table import figures_table
from roadmap.runs import read_runs
from roadmap.text import number, signed

SCORES = CHANGES | {"kernel_9": (70.0, 70.6, 69.9), "layer_norm": (72.0,)}


@pytest.fixture
def ablation(tmp_path):
    write_ablation(tmp_path, SCORES)
    return analyse(read_runs(tmp_path).runs, "tiny", "resnet50")


@pytest.fixture
def table(ablation):
    return ablation_table(ablation)


def test_trained_dots_are_at_the_means_on_one_axis_and_print_the_papers(table):
    figure = charts.trained_dots(table)
    (dots,) = (t for t in figure.data if t.type == "scatter" and t.marker.size == 9)
    assert list(dots.x) == pytest.approx(list(table["top1"]))
    whiskers = figure.data[2]
    assert list(whiskers.error_x.array) == pytest.approx(
        list((table["top1_high"] - table["top1"]).dropna())
    )
    assert figure.layout.yaxis4.ticktext[1] == "80.57"
    low, high = figure.layout.xaxis.range
    assert low < table["top1_low"].min()
    assert high > table["top1_high"].max()
    assert [axis for axis in figure.layout if axis.startswith("xaxis")] == ["xaxis"]


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ("tiny", "Top-1 on tiny, %"),
        ("tiny-imagenet-100", "Top-1 on Tiny ImageNet-100, %"),
        ("digits-30-epochs", "Top-1 on Digits, 30 epochs, %"),
    ],
)
def test_axes_have_the_title_of_the_data(table, data, title):
    table = table.assign(data=data)
    assert charts.trained_dots(table).layout.xaxis.title.text == title
    assert charts.accuracy_against(table).layout.yaxis.title.text == title


def test_slopes_lead_from_the_rank_here_to_the_rank_in_the_paper(table):
    table = table.assign(paper_top1=[80.0, 81.0, 81.0, 82.0, None, 79.0], data="digits")
    figure = rank_slopes(table)
    slopes = [trace for trace in figure.data if trace.mode == "lines+markers"]
    # By top-1, the steps are in the order layer_norm, kernel_9, gelu or kernel_7, kernel_5.
    order = list(table["top1"].drop("fewer_activations").sort_values(ascending=False).index)
    keys = table.index.drop("fewer_activations")
    assert [trace.y[0] for trace in slopes] == [order.index(key) + 1 for key in keys]
    assert [trace.y[1] for trace in slopes] == [4, 2.5, 2.5, 1, 5]
    names = figure.layout.yaxis2
    assert names.ticktext[0] == "Batch norm to layer norm  1"
    assert figure.layout.yaxis3.ticktext == ("1", "2.5", "4", "5")
    tied = rank_slopes(table.assign(top1=60.0)).layout.yaxis2.tickvals
    assert all(b - a >= 0.75 - 1e-9 for a, b in pairwise(tied))  # readable
    assert [note.text for note in figure.layout.annotations] == [
        "<b>On Digits</b>",
        "<b>Published</b>",
    ]


def test_intervals_span_the_tables_and_wear_their_verdicts_sign(table):
    figure = charts.change_intervals(table)
    changed = table[table["change"].notna()]
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    points = [trace for trace in figure.data if trace.mode == "markers"][: len(changed)]
    assert [tuple(line.x) for line in lines] == list(
        zip(changed["change_low"], changed["change_high"], strict=True)
    )
    assert [point.x[0] for point in points] == list(changed["change"])
    assert [point.marker.symbol for point in points] == [
        SIGNS[verdict].symbol for verdict in changed["verdict"]
    ]
    assert {"circle", "square", "circle-open"} == {point.marker.symbol for point in points}
    assert figure.layout.yaxis3.ticktext[0].startswith("+1.0")
    (zero,) = figure.layout.shapes
    assert (zero.x0, zero.x1) == (0, 0)


@pytest.mark.parametrize("change", [-0.004, -0.0, 0.0, 0.004, -0.005001, 1.0])
def test_the_chart_and_the_table_print_a_change_alike(ablation, table, change):
    table.loc["gelu", "change"] = change
    printed = charts.change_intervals(table).layout.yaxis3.ticktext
    assert signed(change, 2) in printed
    assert "−0.00" not in printed
    figures = [row | {"change": change} for row in rows(ablation)]
    assert f'<td class="n change">{signed(change, 2)}</td>' in figures_table(figures)
    assert number(min(change, 0), 2) != "−0.00"


def test_the_papers_changes_stand_beside_ours(table):
    figure = charts.change_intervals(table)
    paper = next(t for t in figure.data if t.marker.symbol == "diamond-tall-open")
    assert list(paper.x) == pytest.approx(list(table["paper_change"][table["change"].notna()]))


def test_an_untested_change_has_a_sign_and_no_p(tmp_path):
    write_ablation(tmp_path, {"kernel_7": [70.0], "gelu": [71.0]})
    table = ablation_table(analyse(read_runs(tmp_path).runs, "tiny", "resnet50"))
    figure = charts.change_intervals(table)
    assert figure.data[1].marker.symbol == SIGNS["untested"].symbol
    assert figure.layout.yaxis4.ticktext == ("–",)


def test_without_p_values_the_intervals_have_their_room(table):
    wide, narrow = (charts.change_intervals(table, p_values=shown) for shown in (True, False))
    assert narrow.layout.margin.r < wide.layout.margin.r
    assert "yaxis4" not in narrow.layout.to_plotly_json()
    assert [each.text for each in narrow.layout.annotations] == ["Change"]
    assert "p (Holm): " in narrow.data[1].hovertemplate


def test_points_stand_at_their_costs_with_their_numbers(table):
    figure = charts.accuracy_against(table)
    whiskers, points = figure.data
    assert list(points.x) == list(table["gflops"])
    assert list(points.y) == list(table["top1"])
    notes = figure.layout.annotations
    assert [note.text for note in notes] == ["9", "10", "11", "13", "14", "16"]
    assert [(note.x, note.y) for note in notes] == list(zip(points.x, points.y, strict=True))
    assert all(note.showarrow is not False and (note.ax or note.ay) for note in notes)
    low, high = figure.layout.yaxis.range
    assert low < table["top1_low"].min()
    assert high > table["top1_high"].max()
    # One seed has no interval: its whisker has no length.
    assert whiskers.y[-3] == whiskers.y[-2] == 72.0


@pytest.mark.parametrize(("most", "key"), [(100, "seconds"), (1000, "minutes"), (10_000, "hours")])
def test_training_time_is_in_a_unit_for_people(table, most, key):
    timed, cost = charts.with_time(table.assign(seconds=float(most)))
    assert cost.key == key
    figure = charts.accuracy_against(timed, cost)
    assert figure.data[1].x[0] == pytest.approx(
        most / {"seconds": 1, "minutes": 60, "hours": 3600}[key]
    )


def test_curves_of_a_group_are_named_and_the_others_gray(ablation):
    curves = curve_table(ablation.roadmap, ablation.runs)
    figure = learning_curves(curves, "Large kernel sizes")
    shown = [trace for trace in figure.data if trace.opacity is None]
    assert [trace.name for trace in shown] == ["Kernel size 5", "Kernel size 7", "Kernel size 9"]
    assert len(figure.data) == len(SCORES)
    assert len({(trace.line.color, trace.line.dash) for trace in shown}) == 3
    assert shown[0].y[-1] == pytest.approx(sum(SCORES["kernel_5"]) / 3)
    assert all(
        name.text.endswith(trace.name)
        for name, trace in zip(
            sorted(figure.layout.annotations, key=lambda note: note.text[-1]), shown, strict=True
        )
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_curves_start_at_0(ablation, measure):
    curves = curve_table(ablation.roadmap, ablation.runs)
    longer = curves.assign(epoch=curves["epoch"] * 20)  # no longer few enough to be shown whole
    chosen = curves_chart(longer[longer["key"] == "kernel_5"], measure, by_seed=False).layout
    assert chosen.xaxis.rangemode == chosen.yaxis.rangemode == "tozero"
    assert chosen.yaxis.range is None
    group = learning_curves(longer, "Large kernel sizes").layout
    assert group.yaxis.range[0] == 0
    assert group.xaxis.rangemode == "tozero"


def test_curves_are_averaged_over_seeds(ablation):
    curves = curve_table(ablation.roadmap, ablation.runs)
    assert len(curves) == 3 * sum(map(len, SCORES.values()))
    means = mean_curves(curves)
    last = means[means["epoch"] == 3].set_index("key")
    assert last.loc["kernel_7", "value"] == pytest.approx(sum(SCORES["kernel_7"]) / 3)
    assert last.loc["kernel_7", "count"] == 3
    assert len(means) == 3 * len(SCORES)


@given(st.lists(st.floats(0, 200), min_size=1, max_size=8))
def test_names_lie_apart_and_under_the_top(heights):
    placed = spread(sorted(heights), 15, 200)
    gaps = [b - a for a, b in pairwise(placed)]
    assert all(gap >= 15 - 1e-9 for gap in gaps)
    assert placed[-1] <= 200
    if all(b - a >= 15 for a, b in pairwise(sorted(heights))):
        assert placed == sorted(heights)
