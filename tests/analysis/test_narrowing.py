"""How the verdict on a change narrows with its seeds."""

from __future__ import annotations

import pytest
from ablations import STEADY, shifted
from fake_runs import write_ablation, write_run

from roadmap.analysis.ablation import analyse
from roadmap.analysis.narrowing import narrowing, narrowing_of_runs
from roadmap.runs import read_runs
from roadmap.tables.results import ResultsError

IMAGES = 1000


def found(before, after, **others):
    scores = {"kernel_5": before, "kernel_7": after} | others
    return narrowing(
        {step: dict(enumerate(values)) for step, values in scores.items()},
        IMAGES,
        "resnet50",
        "kernel_7",
    )


def test_seeds_count_in_ascending_order_whatever_order_they_finished_in():
    before, after = {2: 60.0, 0: 50.0, 1: 52.0}, {1: 55.0, 2: 70.0, 0: 53.0}
    scores = {"kernel_5": before, "kernel_7": after}
    two, three = narrowing(scores, IMAGES, "resnet50", "kernel_7")
    assert (two.seeds, two.change.points) == (2, pytest.approx(3.0))
    assert (three.seeds, three.change.points) == (3, pytest.approx(16 / 3))


def test_one_seed_of_either_step_gives_one_change_without_an_interval():
    for before, after in (([50.0], [53.0]), ([50.0, 52.0, 54.0], [53.0])):
        (only,) = found(before, after)
        assert (only.seeds, only.change.interval) == (len(before), None)
        assert only.change.points == pytest.approx(after[0] - sum(before) / len(before))


def test_the_longer_step_goes_on_alone():
    narrow = found([50.0, 51.0], [53.0, 54.0, 58.0])
    assert [each.seeds for each in narrow] == [2, 3]
    assert narrow[1].change.points == pytest.approx(55 - 50.5)


def test_other_steps_count_with_all_their_seeds():
    """Holm's method adjusts for their comparisons."""
    before, after = [50.0, 50.4, 50.2], [51.0, 51.5, 51.2]
    alone = found(before, after)
    among = found(before, after, gelu=[60.0, 61.0, 62.0], fewer_norms=[1.0, 2.0, 3.0])
    assert [each.change.points for each in alone] == [each.change.points for each in among]
    assert all(a.change.p < b.change.p for a, b in zip(alone, among, strict=True))


@pytest.mark.parametrize("missing", ["kernel_5", "kernel_7"])
def test_a_change_without_scores_of_both_steps_is_empty(missing):
    scores = {step: {0: 50.0} for step in ("kernel_5", "kernel_7", "gelu") if step != missing}
    assert narrowing(scores, IMAGES, "resnet50", "kernel_7") == ()
    assert narrowing(scores, IMAGES, "resnet50", "baseline") == ()


def test_only_finished_runs_on_the_data_and_roadmap_count(tmp_path):
    write_ablation(tmp_path, {"kernel_5": STEADY, "kernel_7": shifted(1)})
    runs = read_runs(tmp_path).runs
    data = runs[0].data
    expected = {one.step.key: one for one in analyse(runs, data, "resnet50").steps}
    write_run(tmp_path, "kernel_7", 9, 1.0, data="others")
    write_run(tmp_path, "kernel_7", 8, 1.0, data=data, done=1)
    runs = read_runs(tmp_path).runs
    narrow = narrowing_of_runs(runs, data, "resnet50", "kernel_7")
    assert [each.seeds for each in narrow] == [2, 3, 4, 5]
    assert narrow[-1].change == expected["kernel_7"].change
    assert narrowing_of_runs(runs, data, "resnet200", "kernel_7") == ()
    assert narrowing_of_runs(runs, "elsewhere", "resnet50", "kernel_7") == ()


def test_runs_that_cannot_be_compared_are_refused(tmp_path):
    write_ablation(tmp_path, {"kernel_5": STEADY, "kernel_7": STEADY})
    write_run(tmp_path, "kernel_7", 7, 60.0, data=read_runs(tmp_path).runs[0].data, val_images=77)
    runs = read_runs(tmp_path).runs
    with pytest.raises(ResultsError):
        narrowing_of_runs(runs, runs[0].data, "resnet50", "kernel_7")
