"""Test whether differences between steps could be chance: intervals, tests and seeds needed.

Sources: two-sample t-test with a variance pooled over all groups, as in a one-way analysis of
variance (Fisher 1925); Welch's t-test (Welch 1947); Levene's test about medians (Brown and
Forsythe 1974); paired t-test (Student 1908); Holm's step-down correction (Holm 1979); power
from the noncentral t distribution (Cohen 1988, "Statistical Power Analysis", chapter 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev, variance
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from roadmap.analysis.verdict import ALPHA

CONFIDENCE, POWER = 0.95, 0.8
#: The largest number of seeds that ``seeds_needed`` returns.
MOST_SEEDS = 100


class Estimate(NamedTuple):
    """A mean with its 95% t interval; ``p`` tests the hypothesis that it is zero.

    ``std`` is the standard deviation of the sample, or the floor if it is below the floor.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float
    p: float


def estimate(values: Sequence[float], std_floor: float) -> Estimate:
    """Estimate the mean of two or more values from a normal distribution.

    ``std_floor`` (above 0, in the unit of the values) is the smallest standard deviation that the
    values can resolve; it replaces a smaller one. Without it, equal or nearly equal values would
    give an interval of zero width and a p value of 0 or NaN.
    """
    n, mean = len(values), fmean(values)
    std = max(stdev(values), std_floor)
    return Estimate(n, mean, std, *_interval_and_p(mean, std / math.sqrt(n), n - 1))


class Spread(NamedTuple):
    """The variation between runs of the same step, pooled over all steps.

    ``std`` is the standard deviation of a run and ``degrees`` its degrees of freedom. ``levene_p``
    is the p value of equal variance in all steps, None if there are too few seeds to test it.
    """

    std: float
    degrees: int
    levene_p: float | None

    @property
    def differs(self) -> bool:
        """Whether Levene's test rejects equal variance at the 5% level."""
        return self.levene_p is not None and self.levene_p <= ALPHA


def pooled_spread(groups: Sequence[Sequence[float]], std_floor: float) -> Spread | None:
    """Pool the spread within ``groups`` (the scores of each step); None if none has two values.

    ``std_floor`` is as in ``estimate``.
    """
    groups = [group for group in groups if len(group) > 1]
    degrees = sum(len(group) - 1 for group in groups)
    if not degrees:
        return None
    squares = sum((len(group) - 1) * variance(group) for group in groups)
    return Spread(max(math.sqrt(squares / degrees), std_floor), degrees, levene(groups))


def levene(groups: Sequence[Sequence[float]]) -> float | None:
    """Return the p value of equal variance by Levene's test about medians.

    Groups of fewer than three values are ignored, since two values are equally far from their
    median. Returns None for fewer than two groups, or if every value equals its group's median.
    With three values per group the test has little power: it rarely rejects even if some groups
    spread five times as widely as others.
    """
    groups = [group for group in groups if len(group) > 2]
    if len(groups) < 2:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        p = float(stats.levene(*groups, center="median").pvalue)
    return None if math.isnan(p) else p


class Difference(NamedTuple):
    """The difference of two means with its 95% interval; ``p`` tests whether it is zero.

    ``std`` is the standard deviation of a run used in the test, ``degrees`` its degrees of freedom.
    """

    mean: float
    std: float
    degrees: float
    low: float
    high: float
    p: float


def pooled_test(before: Sequence[float], after: Sequence[float], spread: Spread) -> Difference:
    """Student's t-test with the pooled ``spread``. Each sample needs at least one value."""
    mean = fmean(after) - fmean(before)
    error = spread.std * math.sqrt(1 / len(before) + 1 / len(after))
    return Difference(
        mean, spread.std, spread.degrees, *_interval_and_p(mean, error, spread.degrees)
    )


def welch_test(before: Sequence[float], after: Sequence[float], std_floor: float) -> Difference:
    """Welch's t-test; each sample needs two or more values. ``std_floor`` is as in ``estimate``."""
    samples = [
        Sample(fmean(values), max(stdev(values), std_floor), len(values))
        for values in (before, after)
    ]
    return welch_test_of(*samples)


class Sample(NamedTuple):
    """Mean, standard deviation (above 0) and size of a sample whose values are not known."""

    mean: float
    std: float
    n: int


def welch_test_of(before: Sample, after: Sample) -> Difference:
    """Welch's t-test of two samples of two or more values, from their summaries."""
    parts = [sample.std**2 / sample.n for sample in (before, after)]
    degrees = sum(parts) ** 2 / sum(
        part**2 / (sample.n - 1) for part, sample in zip(parts, (before, after), strict=True)
    )
    mean, std = after.mean - before.mean, math.sqrt(fmean([before.std**2, after.std**2]))
    return Difference(mean, std, degrees, *_interval_and_p(mean, math.sqrt(sum(parts)), degrees))


def _interval_and_p(mean: float, error: float, degrees: float) -> tuple[float, float, float]:
    # The functions behind `stats.t` without its array checks: 20 times faster.
    half = float(special.stdtrit(degrees, (1 + CONFIDENCE) / 2)) * error
    return mean - half, mean + half, float(2 * special.stdtr(degrees, -abs(mean) / error))


def paired_std(scores: Sequence[Mapping[int, float]], std_floor: float) -> float:
    """Return the standard deviation of the difference between two steps with the same seed.

    ``scores`` has the scores of each step by seed; at least two steps must share two seeds. The
    result is the residual of a two-way analysis of variance (steps, seeds), which excludes luck
    that all steps share with a seed. ``std_floor`` is as in ``estimate``.
    """
    seeds = {seed: place for place, seed in enumerate({s for row in scores for s in row})}
    cells = [(step, seed) for step, row in enumerate(scores) for seed in row]
    design = np.zeros((len(cells), len(scores) + len(seeds)))
    for place, (step, seed) in enumerate(cells):
        design[place, [step, len(scores) + seeds[seed]]] = 1
    values = np.array([scores[step][seed] for step, seed in cells])
    fitted, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    left = values - design @ fitted
    return max(math.sqrt(2 * float(left @ left) / (len(cells) - int(rank))), std_floor)


def accuracy_floor(images: int) -> float:
    """Return the rounding error of a percentage of ``images``, as a standard deviation in points.

    The percentage changes in steps of 100 / ``images``; a value uniform within a step of width w
    has a standard deviation of w / √12.
    """
    return 100 / images / math.sqrt(12)


def change_floor(images: int) -> float:
    """Return ``accuracy_floor`` for the difference of two percentages of ``images``."""
    return math.sqrt(2) * accuracy_floor(images)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p values, in the given order.

    If all comparisons with an adjusted value of at most 5% are called significant, the chance of
    any false positive among them is at most 5%.
    """
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min((len(p_values) - rank) * p_values[place], 1.0))
        adjusted[place] = least
    return adjusted


def seeds_needed(effect: float, std: float, groups: int = 2, alpha: float = ALPHA) -> int | None:
    """Return the seeds per step that give a t-test at level ``alpha`` 80% power for ``effect``.

    ``std`` (above 0, in the unit of ``effect``) is the standard deviation of a run, estimated from
    ``groups`` steps with the same number of seeds. Returns None for more than ``MOST_SEEDS``.
    """
    n = np.arange(2, MOST_SEEDS + 1)
    degrees = groups * (n - 1)
    critical = stats.t.isf(alpha / 2, degrees)
    # SciPy's series for the noncentral t converges below 37; such effects are found anyway.
    shift = np.minimum(abs(effect) / std * np.sqrt(n / 2), 37)
    # SciPy returns NaN for some negligible tails.
    wrong_sign = np.nan_to_num(stats.nct.cdf(-critical, degrees, shift))
    enough = n[stats.nct.sf(critical, degrees, shift) + wrong_sign >= POWER]
    return int(enough[0]) if enough.size else None
