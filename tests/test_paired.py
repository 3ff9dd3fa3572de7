"""Intervals, tests and seeds needed, against values computed in other ways."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from roadmap.paired import accuracy_floor, change_floor, common_spread, estimate, holm, seeds_needed

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


@pytest.mark.parametrize(("effect", "n"), [(0.5, 34), (0.8, 15), (1.0, 10), (0.2, None), (0, None)])
def test_seeds_needed_as_g_power_prints_them(effect, n):
    assert seeds_needed(effect, 1.0) == n
    assert seeds_needed(-effect, 1.0) == n
    assert seeds_needed(3 * effect, 3.0) == n


def test_a_sharper_level_takes_more_seeds():
    assert seeds_needed(1, 1, 0.05 / 16) > seeds_needed(1, 1, 0.05)
    assert seeds_needed(1e6, 1e-3) == 2


def test_the_power_is_what_simulation_finds():
    draw = np.random.default_rng(0)
    n = seeds_needed(0.3, 0.25)
    found = stats.ttest_1samp(draw.normal(0.3, 0.25, (20_000, n)), 0, axis=1).pvalue < 0.05
    one_less = stats.ttest_1samp(draw.normal(0.3, 0.25, (20_000, n - 1)), 0, axis=1).pvalue < 0.05
    assert found.mean() >= 0.79
    assert one_less.mean() < 0.81


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("images", [355, 50_000])
def test_false_findings_in_ablations_of_nothing(images, seeds):
    """500 roadmaps of 9 steps that all do nothing: in 5% of them at most one is called real."""
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(500):
        scores = draw.normal(90, 0.3, (9, seeds)) + draw.normal(0, 1, seeds)  # luck of the seed
        scores = 100 / images * np.round(scores * images / 100)
        tests = [
            estimate(list(change), change_floor(images)).p for change in np.diff(scores, axis=0)
        ]
        wrong += min(holm(tests)) <= 0.05
    # Three standard deviations of the count of a rate of exactly 5%.
    assert wrong <= 25 + 3 * math.sqrt(500 * 0.05 * 0.95)
    assert wrong >= 5 or images == 355  # a test that never finds anything would pass too


def together(scores: list[dict[int, float]], floor: float = 0.005):
    """The changes from each network to the next, and the spread that all scores tell."""
    changes = [
        estimate([after[seed] - before[seed] for seed in before.keys() & after.keys()], floor)
        for before, after in pairwise(scores)
    ]
    return changes, common_spread(scores, floor)


def test_two_networks_spread_as_in_the_paired_test():
    [change], spread = together([{0: 50.1, 1: 50.4, 2: 49.0}, {0: 50.5, 1: 51.4, 2: 50.2}])
    assert spread == (pytest.approx(change.std), 2)
    assert spread.p(change) == pytest.approx(change.p)


def test_the_spread_is_what_an_analysis_of_variance_leaves_over():
    """Blocks complete: deviations from row and column means, (4 - 1)(3 - 1) degrees of freedom."""
    scores = np.random.default_rng(0).normal(60, 1, (4, 3))
    left = scores - scores.mean(0) - scores.mean(1)[:, None] + scores.mean()
    changes, spread = together([dict(enumerate(row)) for row in scores])
    assert spread == (pytest.approx(math.sqrt(2 * (left**2).sum() / 6)), 6)
    t = changes[0].mean / spread.std * math.sqrt(3)
    assert spread.p(changes[0]) == pytest.approx(2 * stats.t.sf(abs(t), 6))


def test_a_network_with_one_seed_tells_nothing_about_the_spread():
    whole = [{0: 50.0, 1: 50.9}, {0: 52.0, 1: 52.2}, {0: 53.0, 1: 54.0}]
    spread = common_spread(whole, 0.005)
    assert common_spread([*whole, {0: 99.0}, {7: 1.0}], 0.005) == (pytest.approx(spread.std), 2)
    assert common_spread([{0: 50.0}, {0: 51.0, 1: 52.0}], 0.005) is None


def test_equal_changes_spread_as_the_images_allow():
    assert common_spread([{0: 50.0, 1: 51.0}, {0: 51.0, 1: 52.0}], 0.1) == (0.1, 1)


def test_one_spread_finds_more_and_is_as_rarely_wrong_where_seeds_spread_alike():
    draw = np.random.default_rng(0)
    wrong, found = 0, {"own": 0, "common": 0}
    for _ in range(500):
        scores = draw.normal(60, 0.5, (17, 3)) + draw.normal(0, 0.3, 3)
        changes, spread = together([dict(enumerate(row)) for row in scores])
        wrong += min(holm([spread.p(change) for change in changes])) <= 0.05
        scores[9:] += 2.5
        changes, spread = together([dict(enumerate(row)) for row in scores])
        found["own"] += holm([change.p for change in changes])[8] <= 0.05
        found["common"] += holm([spread.p(change) for change in changes])[8] <= 0.05
    # Two standard deviations above the count of a rate of exactly 5%.
    assert 5 <= wrong <= 25 + 2 * math.sqrt(500 * 0.05 * 0.95)
    assert found["common"] > 450 > 150 > found["own"]
