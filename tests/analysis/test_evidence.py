"""How sure a change is follows from the published figures and from the reports of our own runs."""

from __future__ import annotations

import csv

import pytest
from scipy import stats

from roadmap.analysis.evidence import (
    CONTRADICTED,
    NO_TEST,
    NOISE,
    STRONG,
    Result,
    confidence,
    results,
)
from roadmap.analysis.verdict import GAIN, INCONCLUSIVE, LOSS, UNTESTED
from roadmap.steps import ROADMAPS
from roadmap.tables import results as tables

STEP = ROADMAPS["resnet50"].step("gelu")
TRIED = ROADMAPS["resnet50"].step("kernel_9")


def result(change: float, verdict: str = UNTESTED, data: str | None = "mine") -> Result:
    return Result(roadmap="resnet50", data=data, seeds=3, change=change, verdict=verdict)


PUBLISHED = result(0.5, UNTESTED, None)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ((), NO_TEST),
        ((PUBLISHED,), NO_TEST),
        ((PUBLISHED, result(-2)), NO_TEST),
        ((PUBLISHED, result(1, GAIN)), STRONG),
        ((result(0.5, GAIN, None),), STRONG),
        ((result(0.5, GAIN, None), result(-0.1, INCONCLUSIVE)), NOISE),
        ((result(0.5, INCONCLUSIVE, None), result(1, GAIN)), NOISE),
        ((PUBLISHED, result(-1, LOSS)), CONTRADICTED),
        ((result(0.5, INCONCLUSIVE, None), result(-1, LOSS)), CONTRADICTED),
        ((result(-1, LOSS, None), result(-2, LOSS)), STRONG),
        ((result(-1, LOSS, None), result(2, GAIN)), CONTRADICTED),
        ((result(-1, LOSS),), STRONG),  # nothing is published that it could contradict
    ],
)
def test_the_verdict_follows_from_the_results(found, verdict):
    assert confidence(STEP, found).verdict == verdict


def test_no_change_has_no_sign():
    assert [result(change).sign for change in (-0.5, 0.0, 0.5)] == [-1, 0, 1]


def test_a_loss_agrees_with_no_gain_in_a_step_that_was_not_adopted():
    found = (result(0.0, INCONCLUSIVE, None), result(-1.4, LOSS))
    assert confidence(TRIED, found).verdict == NOISE
    assert confidence(STEP, found).verdict == CONTRADICTED


def test_the_deciding_results_are_those_of_the_verdict():
    gain, loss, unsure = result(1, GAIN), result(-1, LOSS), result(0.1, INCONCLUSIVE)
    assert confidence(STEP, (PUBLISHED, gain, loss)).deciding == (loss,)
    assert confidence(STEP, (PUBLISHED, gain, unsure)).deciding == (unsure,)
    assert confidence(STEP, (PUBLISHED, gain)).deciding == (gain,)


def test_published_intervals_are_welchs_of_three_seeds():
    published = results("resnet50", "increase_width")[0]
    before, after = ([mean - std, mean, mean + std] for mean, std in ((78.28, 0.08), (80.5, 0.02)))
    expected = stats.ttest_ind(after, before, equal_var=False)
    assert published.change == pytest.approx(2.22)
    assert (published.low, published.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert expected.pvalue < published.p <= 15 * expected.pvalue  # adjusted for all changes
    assert published.verdict == GAIN


def test_a_step_has_the_results_of_both_sizes_and_ours_last():
    found = results("resnet200", "kernel_7")
    assert [(r.roadmap, r.data) for r in found] == [
        ("resnet200", None),
        ("resnet50", None),
        ("resnet50", "tiny-imagenet-100"),
    ]
    assert [r.change for r in found[:2]] == [-0.02, 0.22]
    assert {r.roadmap for r in results("torchvision_recipe", "ema")} == {"torchvision_recipe"}


def test_the_first_step_and_those_beyond_the_paper_have_none():
    assert results("resnet50", "baseline") == results("resnet50", "no_layer_scale") == ()
    untested, single = results("resnet50", "training")[:2]  # no deviation before it
    assert (untested.verdict, untested.seeds, single.seeds) == (UNTESTED, 3, 1)


def test_our_results_are_those_of_the_report_and_a_users_own_come_first(tmp_path, monkeypatch):
    (row,) = (r for r in tables.report_rows("resnet50") if r["key"] == "fewer_norms")
    (ours,) = (r for r in results("resnet50", "fewer_norms") if r.data)
    assert (ours.change, ours.verdict) == (float(row["change"]), row["verdict"])
    names = ("change_low", "change_high", "p_holm")
    assert [ours.low, ours.high, ours.p] == [float(row[name]) for name in names]
    (tmp_path / "reports").mkdir()
    with (tmp_path / "reports" / "mine.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row | {"change": "0.25", "verdict": UNTESTED, "change_low": ""})
        writer.writerow(row | {"data": "flowers", "change": ""})
    monkeypatch.setattr(tables, "results_folders", lambda: (tmp_path, tables.RESULTS))
    (mine,) = (r for r in results("resnet50", "fewer_norms") if r.data)
    assert (mine.change, mine.low, mine.verdict) == (0.25, None, UNTESTED)
