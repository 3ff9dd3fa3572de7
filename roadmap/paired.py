"""Comparing networks trained with the same seeds: intervals, tests, and how many seeds it takes.

Sources: the paired t-test, two-sided (Student 1908); Holm's step-down correction (Holm 1979, "A
simple sequentially rejective multiple test procedure"); the analysis of variance (Fisher 1925);
power from the noncentral t distribution (Cohen 1988, "Statistical Power Analysis", chapter 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
from scipy import stats

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
    error = std / math.sqrt(n)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    return Estimate(n, mean, std, mean - half, mean + half, p)


class Spread(NamedTuple):
    """The standard deviation of a difference between two networks with the same seed, if it is the
    same for any two, and its degrees of freedom."""

    std: float
    degrees: int

    def p(self, change: Estimate) -> float:
        """Of a change of zero, by this standard deviation in place of its own."""
        return float(
            2 * stats.t.sf(abs(change.mean) / self.std * math.sqrt(change.n), self.degrees)
        )


def common_spread(scores: Sequence[Mapping[int, float]], std_floor: float) -> Spread | None:
    """Of networks' ``scores``, by seed: what an analysis of variance of networks and seeds leaves
    over; None where that is nothing.

    Two or three differences tell little about their spread, all scores together tell it well. Where
    networks do not spread alike, changes of the wider ones are found too often. Of two networks it
    is their differences' own. ``std_floor`` as in ``estimate``.
    """
    seeds = {seed: place for place, seed in enumerate(sorted({s for row in scores for s in row}))}
    cells = [(network, seed) for network, row in enumerate(scores) for seed in row]
    design = np.zeros((len(cells), len(scores) + len(seeds)))
    for place, (network, seed) in enumerate(cells):
        design[place, [network, len(scores) + seeds[seed]]] = 1
    values = np.array([scores[network][seed] for network, seed in cells])
    fitted, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    left, degrees = values - design @ fitted, len(cells) - int(rank)
    if degrees == 0:
        return None
    return Spread(max(math.sqrt(2 * float(left @ left) / degrees), std_floor), degrees)


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


def seeds_needed(effect: float, std: float, alpha: float = ALPHA) -> int | None:
    """Seeds for which a paired t-test at level ``alpha`` finds ``effect`` in 80% of all cases.

    ``std`` (above 0) is that of the differences, in the effect's unit. None: more than
    ``MOST_SEEDS``.
    """
    n = np.arange(2, MOST_SEEDS + 1)
    critical = stats.t.isf(alpha / 2, n - 1)
    shift = abs(effect) / std * np.sqrt(n)
    power = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    enough = n[power >= POWER]
    return int(enough[0]) if enough.size else None
