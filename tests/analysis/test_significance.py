"""Intervals, tests and seeds needed, against values computed in other ways."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from roadmap.analysis.significance import (
    Spread,
    accuracy_floor,
    change_floor,
    estimate,
    holm,
    levene,
    paired_std,
    pooled_spread,
    pooled_test,
    seeds_needed,
    welch_test,
)

SLEEP = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]  # Student 1908, dextro
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]  # laevo


def test_students_own_example():
    found = estimate([b - a for a, b in zip(SLEEP, SLEEP_2, strict=True)], 1e-9)
    assert found.mean == pytest.approx(1.58)
    assert found.p == pytest.approx(0.002833, abs=1e-6)  # as R prints it for the sleep data
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_equal_to_scipys_paired_test(n):
    draw = np.random.default_rng(n)
    before, after = draw.normal(70, 1, n), draw.normal(70.5, 1, n)
    found = estimate(list(after - before), 1e-9)
    expected = stats.ttest_rel(after, before)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_equal_pairs_are_as_sure_as_the_images_allow():
    floor = change_floor(355)
    nothing = estimate([0.0, 0.0, 0.0], floor)
    assert (nothing.mean, nothing.p) == (0.0, 1.0)
    assert nothing.low < 0 < nothing.high
    image = 100 / 355
    one_image = estimate([image] * 3, floor)
    assert one_image.p > 0.05  # three times the same image proves little
    assert estimate([10 * image] * 3, floor).p < 0.01
    rounding = estimate([0.1 + 0.2, 0.3, 0.3], floor)  # equal but for the last bit
    assert rounding.p == pytest.approx(estimate([0.3] * 3, floor).p)


def test_the_floor_is_below_any_spread_of_few_seeds():
    """So it changes no test of differing pairs: one image in one of six is as far as it reaches."""
    image = 100 / 355
    for n in range(2, 6):
        assert np.std([0.0] * (n - 1) + [image], ddof=1) > change_floor(355)
    assert accuracy_floor(355) == pytest.approx(image / math.sqrt(12))


def test_holms_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_no_correction_and_bonferroni(p_values):
    adjusted = holm(p_values)
    bounds = [(p, min(p * len(p_values), 1)) for p in p_values]
    assert all(low <= p <= high for p, (low, high) in zip(adjusted, bounds, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


@pytest.mark.parametrize(("effect", "n"), [(0.5, 64), (0.8, 26), (1.0, 17), (0.2, None), (0, None)])
def test_seeds_needed_as_g_power_prints_them(effect, n):
    assert seeds_needed(effect, 1.0) == n
    assert seeds_needed(-effect, 1.0) == n
    assert seeds_needed(3 * effect, 3.0) == n


def test_seeds_needed_fall_with_the_effect_without_a_gap_or_a_warning():
    """SciPy's noncentral t has NaN and warnings far out."""
    for groups in (2, 17):
        needed = [seeds_needed(x, 1.0, groups, 0.05 / 16) for x in np.geomspace(1, 1e6, 200)]
        assert needed == sorted(needed, reverse=True)
        assert needed[-1] == 2


def test_more_than_100_seeds_are_too_many():
    needed = [seeds_needed(effect, 1.0) for effect in np.linspace(0.39, 0.41, 41)]
    assert needed[0] is None
    assert max(n for n in needed if n) == 100


def test_a_sharper_level_takes_more_seeds_and_a_known_spread_fewer():
    assert seeds_needed(1, 1, alpha=0.05 / 16) > seeds_needed(1, 1)
    assert seeds_needed(2, 1, groups=17) < seeds_needed(2, 1)


def test_the_power_is_what_simulation_finds():
    draw = np.random.default_rng(0)
    groups, effect = 9, 1.5
    n = seeds_needed(effect, 1.0, groups)
    for seeds, enough in ((n, True), (n - 1, False)):
        scores = draw.normal(0, 1, (4000, groups, seeds))
        scores[:, 1] += effect
        error = np.sqrt(scores.var(2, ddof=1).mean(1) * 2 / seeds)
        t = (scores[:, 1] - scores[:, 0]).mean(1) / error
        found = (np.abs(t) > stats.t.isf(0.025, groups * (seeds - 1))).mean()
        assert (found > 0.8 - 0.02) if enough else (found < 0.8 + 0.02)


# -- pooled and Welch's t-test ------------------------------------------------------------------


def changes(scores, images=5000):
    """The difference of each step from the one before, as ``analyse`` tests it."""
    spread = pooled_spread(scores, accuracy_floor(images))
    return [pooled_test(*pair, spread) for pair in pairwise(scores)]


def test_of_two_steps_it_is_scipys_two_sample_test():
    before, after = [50.1, 50.4, 49.0], [50.5, 51.4, 50.2, 50.9]
    [found] = changes([before, after])
    expected = stats.ttest_ind(after, before)
    interval = expected.confidence_interval(0.95)
    assert (found.p, found.degrees) == (pytest.approx(expected.pvalue), 5)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_the_spread_is_what_a_one_way_analysis_of_variance_leaves_over():
    scores = list(np.random.default_rng(0).normal([[60], [61], [59], [62]], 1, (4, 3)))
    spread = pooled_spread(scores, 1e-9)
    assert spread.degrees == 8
    between = 3 * np.var(np.mean(scores, 1), ddof=1)
    assert between / spread.std**2 == pytest.approx(stats.f_oneway(*scores).statistic)
    more = [*scores, [99.0]]  # one seed tells nothing about the spread
    assert pooled_spread(more, 1e-9) == spread
    assert pooled_spread([[50.0], [51.0]], 1e-9) is None


def test_welchs_test_is_scipys():
    before, after = [50.1, 50.4, 49.0], [55.5, 51.4, 50.2, 58.9]
    found, expected = (
        welch_test(before, after, 1e-9),
        stats.ttest_ind(after, before, equal_var=False),
    )
    interval = expected.confidence_interval(0.95)
    assert (found.p, found.degrees) == pytest.approx((expected.pvalue, expected.df))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_equal_scores_spread_as_the_images_allow():
    same = [[50.0] * 3, [50.0] * 3]
    floor = accuracy_floor(5000)
    spread = pooled_spread(same, floor)
    assert spread == (floor, 4, None)
    for found in (pooled_test(*same, spread), welch_test(*same, floor)):
        assert (found.p, found.std) == (1, pytest.approx(floor))
        assert found.low < 0 < found.high


def test_levenes_test_is_scipys_about_medians_and_takes_three_seeds():
    scores = [list(row) for row in np.random.default_rng(0).normal(60, [[1], [1], [9]], (3, 8))]
    assert levene(scores) == stats.levene(*scores, center="median").pvalue
    assert levene(scores) < 0.05
    assert pooled_spread(scores, 0.01).differs
    assert levene(scores[1:]) == stats.levene(*scores[1:], center="median").pvalue
    assert levene(scores[1:2]) is None
    two = [row[:2] for row in scores]
    assert levene(two) is None  # two values are equally far from their median
    assert levene([*scores, *two]) == levene(scores)
    assert not pooled_spread(two, 0.01).differs


def test_levenes_test_of_equal_distances_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert levene([[50.0] * 3, [50.0] * 3]) is None
        assert levene([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 4.0, 4.0]]) == 0


def test_spread_differs_from_the_5_percent_level_on():
    assert [Spread(1.0, 8, p).differs for p in (None, 0.05, 0.051)] == [False, True, False]


def test_with_three_seeds_levenes_test_has_little_power():
    """As its docstring and the report say: half the steps spread five times as widely."""
    draw = np.random.default_rng(0)
    widths = np.where(np.arange(17) < 8, 5.0, 1.0)[:, None]
    found = [levene(list(draw.normal(0, widths, (17, 3)))) <= 0.05 for _ in range(100)]
    assert np.mean(found) < 0.05


def test_luck_shared_by_a_seed_is_not_in_the_paired_spread():
    scores = np.random.default_rng(0).normal(60, 1, (4, 3)) + np.array([-9, 0, 9])
    left = scores - scores.mean(0) - scores.mean(1)[:, None] + scores.mean()
    by_seed = [dict(enumerate(row)) for row in scores]
    assert paired_std(by_seed, 0.005) == pytest.approx(math.sqrt(2 * (left**2).sum() / 6))
    assert paired_std([*by_seed, {0: 99.0}, {7: 1.0}], 0.005) == pytest.approx(
        paired_std(by_seed, 0.005)
    )
    assert paired_std([{0: 50.0, 1: 51.0}, {0: 51.0, 1: 52.0}], 0.1) == 0.1


# -- whole ablations of known truth -------------------------------------------------------------


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("images", [355, 50_000])
def test_false_findings_in_ablations_of_nothing(images, seeds):
    """400 roadmaps of 17 steps that all do nothing: in 5% of them at most is one called found."""
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        scores = 100 / images * np.round(draw.normal(60, 0.5, (17, seeds)) * images / 100)
        wrong += min(holm([found.p for found in changes(scores, images)])) <= 0.05
    # Three standard deviations above the count of a rate of exactly 5%; and not too careful.
    assert 4 <= wrong <= 20 + 3 * math.sqrt(400 * 0.05 * 0.95)


def test_unequal_spread_that_three_seeds_do_not_show_makes_false_findings_more_frequent():
    """About 11%, as the report says: the pooled test and not Welch's is made nearly always."""
    draw = np.random.default_rng(0)
    widths = np.where(np.arange(17) < 8, 1.0, 0.5)[:, None]
    wrong = 0
    for _ in range(400):
        wrong += min(holm([found.p for found in changes(draw.normal(60, widths, (17, 3)))])) <= 0.05
    assert wrong / 400 == pytest.approx(0.11, abs=0.03)


def test_intervals_of_known_effects_have_their_nominal_coverage():
    draw = np.random.default_rng(0)
    truth = np.array([0, 10.5, -0.7, 2.0, 0, -3.3, 0.5, -1.5])
    covered = []
    for _ in range(400):
        scores = draw.normal(np.cumsum(truth)[:, None] + 50, 0.5, (8, 3))
        covered += [
            found.low <= effect <= found.high
            for found, effect in zip(changes(scores), truth[1:], strict=True)
        ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_an_effect_of_three_deviations_is_found_where_pairs_would_not_tell_it():
    draw = np.random.default_rng(0)
    pooled = paired = 0
    for _ in range(200):
        scores = draw.normal(60, 0.5, (17, 3))
        scores[9:] += 2.0
        pooled += holm([found.p for found in changes(scores)])[8] <= 0.05
        pairs = [estimate(list(change), 0.01).p for change in np.diff(scores, axis=0)]
        paired += holm(pairs)[8] <= 0.05
    assert pooled > 150 > 50 > paired
