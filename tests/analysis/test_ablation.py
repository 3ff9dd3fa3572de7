"""What the analysis says about runs whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from ablations import STEADY, read, result, shifted
from fake_runs import write_ablation, write_run
from scipy import stats

from roadmap.analysis.significance import seeds_needed
from roadmap.analysis.table import curve_table, rows
from roadmap.analysis.verdict import GAIN, INCONCLUSIVE, LOSS, UNTESTED
from roadmap.steps import ROADMAPS
from roadmap.tables.results import ResultsError, roadmap_table


def span(found):
    return found.first.step.key, found.last.step.key, found.change.mean


def test_means_and_deviations(tmp_path):
    write_ablation(tmp_path, {"kernel_7": STEADY, "gelu": [71.0]})
    ablation = read(tmp_path)
    seven, gelu = result(ablation, "kernel_7"), result(ablation, "gelu")
    assert (seven.top1, seven.std) == pytest.approx((np.mean(STEADY), np.std(STEADY, ddof=1)))
    low, high = stats.t.interval(0.95, 4, np.mean(STEADY), stats.sem(STEADY))
    assert (seven.interval.low, seven.interval.high) == pytest.approx((low, high))
    assert (seven.seeds, seven.seconds) == ((0, 1, 2, 3, 4), 30.0)
    assert (gelu.top1, gelu.std, gelu.interval) == (71.0, None, None)
    assert "kernel_5" in ablation.untrained
    assert "gelu" not in ablation.untrained


def test_verdicts_of_known_effects(tmp_path):
    write_ablation(
        tmp_path,
        {
            "kernel_5": STEADY,
            "kernel_7": shifted(1),
            "kernel_9": shifted(1.3, 0.3, seed=1),
            "gelu": shifted(0.2, seed=2),
            "layer_norm": [70.0],
            "separate_downsampling": STEADY,
        },
    )
    ablation = read(tmp_path)
    verdicts = {row["key"]: row["verdict"] for row in rows(ablation)}
    assert verdicts == {
        "kernel_5": None,
        "kernel_7": "gain",
        "kernel_9": "inconclusive",
        "gelu": "loss",
        "layer_norm": None,
        "separate_downsampling": "untested",
    }
    assert result(ablation, "kernel_7").change.seeds_needed <= 5
    unclear = result(ablation, "kernel_9").change
    assert unclear.seeds_needed is None or unclear.seeds_needed > 5


def test_of_two_steps_the_test_is_scipys(tmp_path):
    after = shifted(0.3, 0.2)[:3]
    write_ablation(tmp_path, {"kernel_7": STEADY, "gelu": after})
    ablation = read(tmp_path)
    change = result(ablation, "gelu").change
    expected = stats.ttest_ind(after, STEADY)
    assert change.interval.p == pytest.approx(expected.pvalue)
    assert change.p == pytest.approx(expected.pvalue)  # one comparison needs no correction
    assert change.points == pytest.approx(np.mean(after) - np.mean(STEADY))
    assert change.seeds_needed == seeds_needed(change.points, change.interval.std, 2, 0.05)
    assert ablation.whole.change == change.interval


def test_the_variance_is_that_within_all_steps(tmp_path):
    scores = {"kernel_5": STEADY, "kernel_7": shifted(1, 1), "gelu": shifted(2, 0.5, 1)[:2]}
    write_ablation(tmp_path, {**scores, "layer_norm": [99.0]})
    ablation = read(tmp_path)
    left = [np.sum((np.array(x) - np.mean(x)) ** 2) for x in scores.values()]
    std = np.sqrt(sum(left) / 9)
    assert ablation.spread[:2] == (pytest.approx(std), 9)
    assert not ablation.spread.differs
    change = result(ablation, "gelu").change
    error = std * np.sqrt(1 / 5 + 1 / 2)
    low, high = stats.t.interval(0.95, 9, change.points, error)
    assert (change.interval.low, change.interval.high) == pytest.approx((low, high))
    assert change.interval.p == pytest.approx(2 * stats.t.sf(abs(change.points) / error, 9))


def test_where_the_spread_differs_each_change_has_its_own(tmp_path):
    wide = shifted(0, 40)
    scores = {"kernel_5": STEADY, "kernel_7": shifted(1), "kernel_9": wide, "kernel_11": wide}
    write_ablation(tmp_path, {**scores, "gelu": STEADY, "fewer_activations": STEADY})
    ablation = read(tmp_path)
    assert (
        ablation.spread.levene_p
        == stats.levene(
            *(scores.get(r.step.key, STEADY) for r in ablation.steps), center="median"
        ).pvalue
    )
    assert ablation.spread.differs
    change = result(ablation, "kernel_7").change
    expected = stats.ttest_ind(scores["kernel_7"], STEADY, equal_var=False)
    assert change.interval.p == pytest.approx(expected.pvalue)
    assert (change.verdict, change.seeds_needed <= 5) == (GAIN, True)
    assert change.seeds_needed == seeds_needed(change.points, change.interval.std, 2, 0.05 / 5)
    assert ablation.whole.change.degrees == pytest.approx(8)


def test_pairs_by_seed_are_the_check(tmp_path):
    write_ablation(tmp_path, {"kernel_5": STEADY, "kernel_7": shifted(0.1), "gelu": shifted(3)})
    ablation = read(tmp_path)
    assert [r.change.verdict for r in ablation.tested] == [INCONCLUSIVE, GAIN]
    check = ablation.paired
    assert check.verdicts == {"kernel_7": GAIN, "gelu": GAIN}  # the seeds' luck is the same
    assert check.agreeing == ("gelu",)
    assert check.unpaired_std == pytest.approx(np.sqrt(2) * ablation.spread.std)
    assert check.paired_std < 0.05 < 0.3 < check.unpaired_std


def test_another_sign_by_seed_is_no_agreement(tmp_path):
    for seed, top1 in ((0, 60.0), (1, 75.0), (2, 75.1)):
        write_run(tmp_path, "kernel_7", seed, top1)
    for seed, top1 in ((1, 74.0), (2, 74.5), (3, 74.0)):
        write_run(tmp_path, "gelu", seed, top1)
    ablation = read(tmp_path)
    assert result(ablation, "gelu").change.points > 0
    assert (ablation.paired.verdicts, ablation.paired.agreeing) == ({"gelu": INCONCLUSIVE}, ())


def test_seeds_need_not_be_the_same(tmp_path):
    for seed in range(3):
        write_run(tmp_path, "kernel_7", seed, 70 + seed / 10)
        write_run(tmp_path, "gelu", 10 + seed, 72 + seed / 10)
    ablation = read(tmp_path)
    change = result(ablation, "gelu").change
    assert (change.points, change.verdict) == (pytest.approx(2), GAIN)
    assert ablation.paired is None


def test_one_seed_in_common_is_no_pair_and_two_seeds_have_a_spread(tmp_path):
    for seed, top1 in ((0, 70.0), (1, 71.0)):
        write_run(tmp_path, "kernel_7", seed, top1)
        write_run(tmp_path, "gelu", seed + 1, top1 + 1)
    ablation = read(tmp_path)
    assert ablation.paired is None
    gelu = result(ablation, "gelu")
    assert gelu.std == pytest.approx(0.5**0.5)
    assert gelu.interval.low < gelu.top1 < gelu.interval.high


def test_gelu_and_both_larger_kernels_are_compared_with_kernel_7(tmp_path):
    write_ablation(
        tmp_path,
        {
            "kernel_7": STEADY,
            "kernel_9": shifted(5),
            "kernel_11": shifted(9),
            "gelu": shifted(1),
        },
    )
    ablation = read(tmp_path)
    for key, points in (("kernel_9", 5), ("kernel_11", 9), ("gelu", 1)):
        assert result(ablation, key).previous == "kernel_7"
        assert result(ablation, key).change.points == pytest.approx(points, abs=0.1)
    assert ablation.whole.change.mean == pytest.approx(1, abs=0.1)  # from kernel_7 to gelu
    assert ablation.one_recipe is None


@pytest.mark.parametrize("first", [1, 2])
def test_one_seed_is_no_test(tmp_path, first):
    write_ablation(tmp_path, {"kernel_5": STEADY[:first], "kernel_7": STEADY[: 3 - first]})
    ablation = read(tmp_path)
    change = result(ablation, "kernel_7").change
    assert (change.verdict, change.interval, change.p) == (UNTESTED, None, None)
    assert change.points == pytest.approx(0.2 if first == 1 else -0.2)
    assert (ablation.tested, ablation.whole, ablation.paired) == ((), None, None)


def test_a_step_whose_previous_was_not_trained_has_no_change(tmp_path):
    write_ablation(tmp_path, {"kernel_5": STEADY, "gelu": STEADY})
    assert result(read(tmp_path), "gelu").change is None
    assert [row["verdict"] for row in rows(read(tmp_path))] == [None, None]


@pytest.mark.parametrize(("points", "verdict"), [(0.0, INCONCLUSIVE), (5.0, GAIN), (-5.0, LOSS)])
def test_equal_scores_have_a_verdict(tmp_path, points, verdict):
    write_ablation(tmp_path, {"kernel_7": [70.0] * 3, "gelu": [70.0 + points] * 3})
    change = result(read(tmp_path), "gelu").change
    assert change.verdict == verdict
    assert change.interval.low < change.interval.high
    assert 0 <= change.p <= 1


def test_p_values_are_adjusted_for_all_changes_tested(tmp_path):
    write_ablation(tmp_path, dict.fromkeys(ROADMAPS["resnet50"].keys[:5], STEADY))
    tested = read(tmp_path).tested
    assert len(tested) == 4
    (tmp_path / "more").mkdir()
    write_ablation(
        tmp_path / "more",
        {"kernel_5": STEADY, "kernel_7": shifted(0.2, 0.1), "gelu": shifted(0.2, 0.1, 5)},
    )
    changes = [found.change for found in read(tmp_path / "more").tested]
    raw = sorted(change.interval.p for change in changes)
    assert sorted(change.p for change in changes)[0] == pytest.approx(2 * raw[0])


def test_agreement_with_the_paper_is_scipys(tmp_path):
    paper = roadmap_table("resnet50")["top1"].dropna()
    draw = np.random.default_rng(0)
    ours = {key: [value - 10 + draw.normal(0, 0.5)] for key, value in paper.items()}
    write_ablation(tmp_path, ours)
    found = read(tmp_path).agreement
    means = [values[0] for values in ours.values()]
    assert found.n == 17
    assert found.spearman == pytest.approx(stats.spearmanr(means, paper).statistic)
    assert found.kendall_p == pytest.approx(stats.kendalltau(means, paper).pvalue)


def test_no_agreement_of_two_steps_or_of_equal_scores(tmp_path):
    write_ablation(tmp_path, {"kernel_5": [70.0], "kernel_7": [71.0]})
    assert read(tmp_path).agreement is None
    write_ablation(tmp_path, {"gelu": [72.0]})
    assert read(tmp_path).agreement[:2] == (3, pytest.approx(1))
    write_ablation(tmp_path / "b", {key: [70.0] for key in ("kernel_5", "kernel_7", "gelu")})
    assert read(tmp_path / "b").agreement is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": 4}, "recipe.epochs is 3 in resnet50-gelu-seed0 and 4 in"),
        ({"recipe": {"test_size": 128}}, "recipe.test_size is 64 in resnet50-gelu-seed0 and 128"),
        ({"recipe": {"lr": 0.5}}, "recipe.lr is 0.004 in resnet50-gelu-seed0 and 0.5"),
        ({"recipe": {"mixup": 0.0}}, "recipe.mixup"),
        ({"scale": "pocket"}, "scale is 'full' in resnet50-gelu-seed0 and 'pocket'"),
        ({"precision": "float32"}, "precision"),
        ({"val_images": 5000}, "val_images"),
    ],
)
def test_mixed_settings_are_refused_by_name(tmp_path, changes, sentence):
    write_run(tmp_path, "gelu")
    write_run(tmp_path, "kernel_7", **changes)
    with pytest.raises(ResultsError, match="cannot be compared") as refused:
        read(tmp_path)
    assert sentence in str(refused.value)


def test_the_baseline_may_have_its_own_recipe_but_not_its_own_epochs(tmp_path):
    write_ablation(tmp_path, {"baseline": STEADY, "training": shifted(1), "gelu": shifted(2)})
    ablation = read(tmp_path)
    assert len(ablation.steps) == 3
    assert span(ablation.whole) == ("baseline", "gelu", pytest.approx(2, abs=0.1))
    assert span(ablation.one_recipe) == ("training", "gelu", pytest.approx(1, abs=0.1))
    write_run(tmp_path, "baseline", 9, epochs=5)
    with pytest.raises(ResultsError, match=r"recipe\.epochs"):
        read(tmp_path)


def test_recipes_are_what_a_roadmap_of_training_changes(tmp_path):
    for key, epochs in (("baseline", 3), ("lr_optimizations", 3), ("long_training", 6)):
        for seed in range(2):
            write_run(tmp_path, key, seed, 70 + seed, roadmap="torchvision_recipe", epochs=epochs)
    ablation = read(tmp_path, "torchvision_recipe")
    assert len(ablation.steps) == 3
    assert ablation.one_recipe is None
    write_run(tmp_path, "baseline", 2, roadmap="torchvision_recipe", epochs=4)
    with pytest.raises(ResultsError, match=r"recipe\.epochs is 3 in .* and 4"):
        read(tmp_path, "torchvision_recipe")


def test_raw_weights_count_unless_the_step_is_about_their_average(tmp_path):
    write_run(tmp_path, "gelu", top1=70.0, ema_top1=75.0)
    assert result(read(tmp_path), "gelu").top1 == 70.0
    for key in ("inference_resize", "ema"):
        write_run(tmp_path, key, top1=70.0, ema_top1=75.0, roadmap="torchvision_recipe")
    assert [found.top1 for found in read(tmp_path, "torchvision_recipe").steps] == [75.0, 75.0]
    averaged = read(tmp_path, "torchvision_recipe")
    assert curve_table(averaged.roadmap, averaged.runs)["value"].iloc[-1] == 75.0
    write_run(tmp_path, "ema", 1, roadmap="torchvision_recipe")
    with pytest.raises(
        ResultsError, match="seed1 has no ema_top1, the score that step ema is judged by"
    ):
        read(tmp_path, "torchvision_recipe")


def test_one_step_and_seed_twice_is_refused(tmp_path):
    write_run(tmp_path, "gelu").rename(tmp_path / "tiny" / "again")
    write_run(tmp_path, "gelu")
    with pytest.raises(
        ResultsError, match="again and resnet50-gelu-seed0 are both runs of step gelu with seed 0"
    ):
        read(tmp_path)


def test_unfinished_runs_and_other_data_do_not_count(tmp_path):
    write_run(tmp_path, "gelu", 0)
    write_run(tmp_path, "gelu", 1, done=1)
    write_run(tmp_path, "gelu", 2, data="other", epochs=9)
    assert result(read(tmp_path), "gelu").seeds == (0,)


def test_nothing_to_analyse_is_a_sentence(tmp_path):
    write_run(tmp_path, done=1)
    with pytest.raises(ResultsError, match="no run of resnet50 on tiny has finished"):
        read(tmp_path)
    with pytest.raises(ResultsError, match=r"'tinny'\. Did you mean 'tiny'"):
        read(tmp_path, data="tinny")


def test_of_several_settings_that_differ_the_first_is_named_whatever_the_hash_seed(tmp_path):
    write_run(tmp_path, "gelu")
    changes = {"lr": 0.5, "mixup": 0.5, "cutmix": 0.5, "weight_decay": 0.5, "erasing": 0.5}
    write_run(tmp_path, "kernel_7", recipe=changes)
    with pytest.raises(ResultsError, match=r"recipe\.cutmix"):
        read(tmp_path)


def test_unknown_data_is_refused_with_those_that_there_are_in_order(tmp_path):
    for data in ("d", "b", "e", "a", "c"):
        write_run(tmp_path, data=data)
    with pytest.raises(ResultsError, match=r"zzzz.*a, b, c, d, e"):
        read(tmp_path, data="zzzz")


def test_steps_with_recipes_of_their_own_still_share_their_epochs(tmp_path):
    write_run(tmp_path, "baseline", epochs=5)
    write_run(tmp_path, "gelu")
    with pytest.raises(ResultsError, match=r"recipe\.epochs is 5 in resnet50-baseline-seed0 and 3"):
        read(tmp_path)
