"""Estimates more effects than runs alone could tell, by letting the data decide how large they are.

The terms of a study's model come in groups (``Terms.groups``): changes, interactions of changes,
interactions with the learning rate, and so on. The coefficients of a group are taken as draws from
one normal distribution around zero, whose standard deviation is estimated from the runs (empirical
Bayes; Gelman, Analysis of variance, Annals of Statistics 33, 2005). A group that explains little
shrinks to little, so that no term has to be selected or dropped. It never shrinks to zero, which
few runs cannot prove: the likelihood is multiplied by each standard deviation (Chung et al.,
Psychometrika 78, 2013).

The log-odds of top-1 are linear in the terms, and the variance of a score is proportional to
top1 × (100 − top1), by a factor that may grow or fall with one quantity (short and fast training
is more erratic). The fit is penalized quasi-likelihood (Breslow and Clayton, Journal of the
American Statistical Association 88, 1993). statsmodels has no such model: its mixed binomial models
have no dispersion, its linear ones no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

#: Unit of log-odds: one unit is one point of top-1 at 50%.
UNIT = 25.0
#: Smallest top1 × (100 − top1), so that a prediction of 0 or 100% has a finite variance.
LEAST_VARIANCE = 1e-6
#: Scores are this far from 0 and 100% in the first of the ``MOST_ROUNDS``.
MARGIN = 2.0
MOST_ROUNDS = 20
#: Largest change of a fitted value, in log-odds, after which the fit has converged.
CONVERGED = 0.01
#: Standard deviation of the intercept, wide enough to leave it free.
FREE = 300.0
#: Bounds of a standard deviation, in points at 50%.
LEAST_STD, MOST_STD = 1e-3, 1e2
#: Bound of the change of a run's log standard deviation from the middle of a range to its end.
MOST_TREND = 2.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """Fitted numbers.

    ``coefficients`` (terms,) and their posterior ``covariance`` (terms, terms) are log-odds in
    ``UNIT``. ``group_std`` has the standard deviation of each group of terms in the same unit.
    The variance of a score is ``dispersion`` × exp(``trend`` × quantity) × top1 × (100 − top1).
    ``degrees`` is the number of runs less the effective number of terms and the two parameters of
    the variance.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    group_std: dict[str, float]
    dispersion: float
    trend: float
    degrees: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Shrunk(Fit):
    """A fit with its fitted values ``top1`` (runs,), in percent."""

    top1: np.ndarray


def percent(odds: np.ndarray) -> np.ndarray:
    """Convert log-odds, in ``UNIT``, to top-1 in percent."""
    return 100 / (1 + np.exp(-odds / UNIT))


def variance(top1: np.ndarray) -> np.ndarray:
    """Return the variance of scores per unit of dispersion, for fitted ``top1`` in percent."""
    return np.maximum(top1 * (100 - top1), LEAST_VARIANCE)


class _Groups:
    """The groups of terms, and the prior of the fitted log-odds of the runs that they make."""

    def __init__(self, matrix: np.ndarray, groups: Sequence[str | None]):
        self.names = [*dict.fromkeys(name for name in groups if name is not None)]
        self._columns = [np.array([group == name for group in groups]) for name in self.names]
        self.kernels = [matrix[:, own] @ matrix[:, own].T for own in self._columns]
        free = matrix[:, [group is None for group in groups]]
        self._constant = FREE**2 * free @ free.T

    def prior(self, stds: np.ndarray) -> np.ndarray:
        """Return the covariance (runs, runs) for log standard deviations (groups,)."""
        return self._constant + sum(
            np.exp(2 * std) * kernel for std, kernel in zip(stds, self.kernels, strict=True)
        )

    def variances(self, stds: np.ndarray) -> np.ndarray:
        """Return the prior variance of each term, (terms,)."""
        found = np.full(len(self._columns[0]), FREE**2)
        for own, std in zip(self._columns, stds, strict=True):
            found[own] = np.exp(2 * std)
        return found


class _Round(NamedTuple):
    """The linear model of one round: a response in log-odds, with its variance up to a factor."""

    response: np.ndarray
    noise: np.ndarray
    quantity: np.ndarray

    @classmethod
    def around(cls, odds: np.ndarray, scores: np.ndarray, quantity: np.ndarray) -> _Round:
        """Linearize around fitted log-odds."""
        top1 = percent(odds)
        response = odds + (scores - top1) * 100 * UNIT / variance(top1)
        return cls(response, 2500 / variance(top1), quantity)  # relative to the noise at 50%

    def variances(self, std: float, slope: float) -> np.ndarray:
        """Return the variance of each response, (runs,), from a log standard deviation."""
        return np.exp(2 * std + 2 * slope * self.quantity) * self.noise


def shrink(
    matrix: np.ndarray, scores: np.ndarray, groups: Sequence[str | None], quantity: np.ndarray
) -> Shrunk:
    """Fit ``scores`` (runs,), in percent, to the terms in ``matrix`` (runs, terms).

    ``groups`` names the group of each term; a term without one is not shrunk. ``quantity`` (runs,)
    is what the variance of a score depends on, coded from -1 to 1; zeros if on nothing.
    """
    found = _Groups(matrix, groups)
    clipped = np.clip(scores, MARGIN, 100 - MARGIN)
    odds, stds = UNIT * np.log(clipped / (100 - clipped)), np.zeros(len(found.names) + 2)
    for _ in range(MOST_ROUNDS):
        now = _Round.around(odds, scores, quantity)
        stds = _most_likely(now, found, stds)
        *of_groups, std, slope = stds
        prior, noise = found.prior(np.array(of_groups)), now.variances(std, slope)
        precision = np.linalg.inv(prior + np.diag(noise))
        before, odds = odds, prior @ precision @ now.response
        if np.abs(odds - before).max() < CONVERGED:
            break
    variances = found.variances(np.array(of_groups))
    gain = variances[:, None] * matrix.T @ precision
    left = float(noise @ np.diag(precision))  # runs less effective terms
    degrees = max(1, round(left - 2))
    return Shrunk(
        coefficients=gain @ now.response,
        covariance=(np.diag(variances) - gain @ matrix * variances) * left / degrees,
        group_std=dict(zip(found.names, np.exp(of_groups).tolist(), strict=True)),
        dispersion=float(np.exp(2 * std)) / 2500 * left / degrees,
        trend=2 * float(slope),
        degrees=degrees,
        top1=percent(odds),
    )


def _most_likely(now: _Round, found: _Groups, start: np.ndarray) -> np.ndarray:
    """Return the most likely log standard deviations.

    Those of the groups, that of a run at 50%, and its slope in the quantity, (groups + 2,).
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.optimize import minimize

    eye = np.eye(len(now.response))

    def loss(stds: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the negative log likelihood, and its slopes."""
        of_groups, noise = stds[:-2], now.variances(*stds[-2:])
        factor = cho_factor(found.prior(of_groups) + np.diag(noise))
        precision = cho_solve(factor, eye)
        weighted = precision @ now.response
        likelihood = now.response @ weighted / 2 + np.log(np.diag(factor[0])).sum()
        excess = precision - np.outer(weighted, weighted)
        by_run = np.diag(excess) * noise
        slopes = [
            np.exp(2 * std) * (excess * kernel).sum() - 1
            for std, kernel in zip(of_groups, found.kernels, strict=True)
        ]
        slopes += [by_run.sum(), by_run @ now.quantity]
        return float(likelihood - of_groups.sum()), np.array(slopes)

    bounds = [(np.log(LEAST_STD), np.log(MOST_STD))] * (len(start) - 1)
    bounds.append((-MOST_TREND, MOST_TREND))
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
