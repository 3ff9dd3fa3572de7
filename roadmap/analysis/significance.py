"""Is a difference between two steps more than chance? Intervals, tests, and seeds needed.

Sources: the two-sample t-test with a variance pooled over all groups, as in a one-way analysis of
variance (Fisher 1925); Welch's t-test (Welch 1947); Levene's test about medians (Brown and
Forsythe 1974); the paired t-test (Student 1908); Holm's step-down correction (Holm 1979); power
from the noncentral t distribution (Cohen 1988, "Statistical Power Analysis", chapter 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev, variance
from typing import NamedTuple

import numpy as np
from scipy import special, stats

CONFIDENCE, ALPHA, POWER = 0.95, 0.05, 0.8
#: More seeds than this are called too many.
MOST_SEEDS = 100


class Estimate(NamedTuple):
    """A mean with its 95% t interval; ``p`` is that of a mean of zero.

    ``std`` is the sample's standard deviation, or the floor where the sample's is below it.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float
    p: float


def estimate(values: Sequence[float], std_floor: float) -> Estimate:
    """The mean of at least two values from a normal distribution.

    ``std_floor`` (above 0) is the least standard deviation that the values could have shown: it
    stands in for a smaller one. Values that happen to be equal, or to differ by a rounding error,
    would otherwise give an interval of no width and a p value of 0 or none at all.
    """
    n, mean = len(values), fmean(values)
    std = max(stdev(values), std_floor)
    return Estimate(n, mean, std, *_interval_and_p(mean, std / math.sqrt(n), n - 1))


class Spread(NamedTuple):
    """How far runs of one step lie apart, pooled over all steps.

    ``std`` is the standard deviation of a run, with its degrees of freedom. ``levene_p`` is the p
    value of equal spread at every step, None where too few seeds were trained to test it.
    """

    std: float
    degrees: int
    levene_p: float | None

    @property
    def differs(self) -> bool:
        """Whether Levene's test rejects equal spread at the 5% level."""
        return self.levene_p is not None and self.levene_p <= ALPHA


def pooled_spread(groups: Sequence[Sequence[float]], std_floor: float) -> Spread | None:
    """The spread within ``groups`` (the top-1 of each step's runs); None if none has two values.

    ``std_floor`` as in ``estimate``.
    """
    groups = [group for group in groups if len(group) > 1]
    degrees = sum(len(group) - 1 for group in groups)
    if not degrees:
        return None
    squares = sum((len(group) - 1) * variance(group) for group in groups)
    return Spread(max(math.sqrt(squares / degrees), std_floor), degrees, levene(groups))


def levene(groups: Sequence[Sequence[float]]) -> float | None:
    """The p value of equal spread by Levene's test about medians.

    It takes two groups of three values (of two, both are equally far from their median); None for
    fewer, or if no value differs from its group's median. With three values per group the test has
    little power: it seldom rejects even where some groups spread five times as widely as others.
    """
    groups = [group for group in groups if len(group) > 2]
    if len(groups) < 2:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        p = float(stats.levene(*groups, center="median").pvalue)
    return None if math.isnan(p) else p


class Difference(NamedTuple):
    """The difference of two means, with its 95% interval and the p value of no difference.

    ``std`` is the standard deviation of a run that the test used, ``degrees`` its degrees of
    freedom.
    """

    mean: float
    std: float
    degrees: float
    low: float
    high: float
    p: float


def pooled_test(before: Sequence[float], after: Sequence[float], spread: Spread) -> Difference:
    """Student's t-test with ``spread``: both samples need one value or more."""
    mean = fmean(after) - fmean(before)
    error = spread.std * math.sqrt(1 / len(before) + 1 / len(after))
    return Difference(
        mean, spread.std, spread.degrees, *_interval_and_p(mean, error, spread.degrees)
    )


def welch_test(before: Sequence[float], after: Sequence[float], std_floor: float) -> Difference:
    """Welch's t-test: both samples need two values or more. ``std_floor`` as in ``estimate``."""
    mean = fmean(after) - fmean(before)
    variances = [max(variance(sample), std_floor**2) for sample in (before, after)]
    parts = [part / len(sample) for part, sample in zip(variances, (before, after), strict=True)]
    degrees = sum(parts) ** 2 / sum(
        part**2 / (len(sample) - 1) for part, sample in zip(parts, (before, after), strict=True)
    )
    std = math.sqrt(fmean(variances))
    return Difference(mean, std, degrees, *_interval_and_p(mean, math.sqrt(sum(parts)), degrees))


def _interval_and_p(mean: float, error: float, degrees: float) -> tuple[float, float, float]:
    # The functions behind `stats.t`, without its checks of arrays: 20 times as fast.
    half = float(special.stdtrit(degrees, (1 + CONFIDENCE) / 2)) * error
    return mean - half, mean + half, float(2 * special.stdtr(degrees, -abs(mean) / error))


def paired_std(scores: Sequence[Mapping[int, float]], std_floor: float) -> float:
    """The standard deviation of a difference between two steps with the same seed.

    ``scores`` are those of each step by seed; two steps at least have two seeds in common. It is
    what an analysis of variance of steps and seeds leaves over, so that luck which all steps share
    with a seed is not in it. ``std_floor`` as in ``estimate``.
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
    """The standard deviation, in points, that a percentage of ``images`` may hide.

    Such a percentage moves in steps of 100 / ``images``, and a value anywhere within a step of
    width w has the standard deviation w / √12.
    """
    return 100 / images / math.sqrt(12)


def change_floor(images: int) -> float:
    """The same for the difference of two percentages of ``images``."""
    return math.sqrt(2) * accuracy_floor(images)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given.

    A comparison whose adjusted value is at most 5% is counted as found; the chance that any one
    found among all of them is none is then at most 5%.
    """
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min((len(p_values) - rank) * p_values[place], 1.0))
        adjusted[place] = least
    return adjusted


def seeds_needed(effect: float, std: float, groups: int = 2, alpha: float = ALPHA) -> int | None:
    """Seeds per step for which a t-test at level ``alpha`` finds ``effect`` in 80% of all cases.

    ``std`` (above 0) is that of a run, in the effect's unit, estimated from ``groups`` steps with
    as many seeds each. None: more than ``MOST_SEEDS``.
    """
    n = np.arange(2, MOST_SEEDS + 1)
    degrees = groups * (n - 1)
    critical = stats.t.isf(alpha / 2, degrees)
    # SciPy's series for the noncentral t converges below 37; such effects are found anyway.
    shift = np.minimum(abs(effect) / std * np.sqrt(n / 2), 37)
    # It has NaN for some tails that are next to nothing.
    wrong_sign = np.nan_to_num(stats.nct.cdf(-critical, degrees, shift))
    enough = n[stats.nct.sf(critical, degrees, shift) + wrong_sign >= POWER]
    return int(enough[0]) if enough.size else None
