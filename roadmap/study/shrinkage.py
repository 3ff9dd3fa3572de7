"""Estimates more effects than runs alone could tell, by letting the data decide how large they are.

The terms of a study's model come in groups (``Terms.groups``): changes, interactions of changes,
interactions with the learning rate, and so on. The coefficients of a group are taken as draws from
one normal distribution around zero, whose standard deviation is estimated from the runs (empirical
Bayes; Gelman, Analysis of variance, Annals of Statistics 33, 2005). A group that explains little
shrinks to little, so that no term has to be selected or dropped. It never shrinks to zero, which
few runs cannot prove: the likelihood is multiplied by each standard deviation (Chung et al.,
Psychometrika 78, 2013).

The log-odds of top-1 are linear in the terms, and the variance of a score is proportional to
top1 × (100 − top1), by a factor that may grow or fall with one quantity (short training is more
erratic). The fit is penalized quasi-likelihood (Breslow and Clayton, Journal of the
American Statistical Association 88, 1993). statsmodels has no such model: its mixed binomial models
have no dispersion, its linear ones no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class Shrunk(NamedTuple):
    """A fit.

    ``coefficients`` (terms,) and their posterior ``covariance`` (terms, terms) are log-odds in
    ``UNIT``. ``group_std`` has the standard deviation of each group of terms in the same unit.
    The variance of a score is ``dispersion`` × exp(``trend`` × quantity) × top1 × (100 − top1).
    ``degrees`` is the number of runs less the effective number of terms and the two parameters of
    the variance. ``top1`` (runs,) has the fitted values in percent.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    group_std: dict[str, float]
    dispersion: float
    trend: float
    degrees: int
    top1: np.ndarray


def percent(odds: np.ndarray) -> np.ndarray:
    """Convert log-odds, in ``UNIT``, to top-1 in percent."""
    return 100 / (1 + np.exp(-odds / UNIT))


def variance(top1: np.ndarray) -> np.ndarray:
    """Return the variance of scores per unit of dispersion, for fitted ``top1`` in percent."""
    return np.maximum(top1 * (100 - top1), LEAST_VARIANCE)


def shrink(
    matrix: np.ndarray, scores: np.ndarray, groups: Sequence[str | None], quantity: np.ndarray
) -> Shrunk:
    """Fit ``scores`` (runs,), in percent, to the terms in ``matrix`` (runs, terms).

    ``groups`` names the group of each term; a term without one is not shrunk. ``quantity`` (runs,)
    is what the variance of a score depends on, coded from -1 to 1; zeros if on nothing.
    """
    names = [*dict.fromkeys(name for name in groups if name is not None)]
    columns = [np.array([group == name for group in groups]) for name in names]
    free = matrix[:, [group is None for group in groups]]
    kernels = [matrix[:, own] @ matrix[:, own].T for own in columns]
    constant = FREE**2 * free @ free.T
    clipped = np.clip(scores, MARGIN, 100 - MARGIN)
    odds, stds = UNIT * np.log(clipped / (100 - clipped)), np.zeros(len(names) + 2)
    for _ in range(MOST_ROUNDS):
        top1 = percent(odds)
        response = odds + (scores - top1) * 100 * UNIT / variance(top1)
        noise = 2500 / variance(top1)  # relative to that at 50%
        stds = _stds(response, noise, quantity, kernels, constant, stds)
        prior = constant + sum(np.exp(2 * s) * k for s, k in zip(stds, kernels, strict=False))
        of_runs = np.exp(2 * stds[-2] + 2 * stds[-1] * quantity) * noise
        inverse = np.linalg.inv(prior + np.diag(of_runs))
        before, odds = odds, prior @ inverse @ response
        if np.abs(odds - before).max() < CONVERGED:
            break
    widths = np.full(matrix.shape[1], FREE**2)
    for own, std in zip(columns, stds, strict=False):
        widths[own] = np.exp(2 * std)
    spread = widths[:, None] * matrix.T
    left = float(of_runs @ np.diag(inverse))  # runs less effective terms
    degrees = max(1, round(left - 2))
    return Shrunk(
        coefficients=spread @ inverse @ response,
        covariance=(np.diag(widths) - spread @ inverse @ spread.T) * left / degrees,
        group_std={name: float(np.exp(std)) for name, std in zip(names, stds, strict=False)},
        dispersion=float(np.exp(2 * stds[-2])) / 2500 * left / degrees,
        trend=2 * float(stds[-1]),
        degrees=degrees,
        top1=percent(odds),
    )


def _stds(
    response: np.ndarray,
    noise: np.ndarray,
    quantity: np.ndarray,
    kernels: Sequence[np.ndarray],
    constant: np.ndarray,
    start: np.ndarray,
) -> np.ndarray:
    """Return the most likely log standard deviations of the groups and of a run, and its slope."""
    from scipy.linalg import cho_factor, cho_solve
    from scipy.optimize import minimize

    eye = np.eye(len(response))
    penalty = np.append(np.ones(len(kernels)), [0.0, 0.0])

    def loss(stds: np.ndarray) -> tuple[float, np.ndarray]:
        scales = np.exp(2 * stds[:-2])
        of_runs = np.exp(2 * stds[-2] + 2 * stds[-1] * quantity) * noise
        total = constant + sum(s * k for s, k in zip(scales, kernels, strict=True))
        factor = cho_factor(total + np.diag(of_runs))
        inverse = cho_solve(factor, eye)
        weighted = inverse @ response
        slope = inverse - np.outer(weighted, weighted)
        slopes = [s * float((slope * k).sum()) for s, k in zip(scales, kernels, strict=True)]
        by_run = np.diag(slope) * of_runs
        slopes += [by_run.sum(), by_run @ quantity]
        return (
            float(response @ weighted / 2 + np.log(np.diag(factor[0])).sum() - stds[:-2].sum()),
            np.array(slopes) - penalty,
        )

    bounds = [(np.log(LEAST_STD), np.log(MOST_STD))] * (len(start) - 1)
    bounds.append((-MOST_TREND, MOST_TREND))
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
