"""The shrunk fit equals what the equations of its docstring give, computed another way."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from roadmap.study import shrinkage
from roadmap.study.shrinkage import FREE, UNIT, percent, shrink, variance

RUNS = 60


def made(seed=0, std=0.5, middle=0.0, sizes=(3.0, 0.0), trend=0.0):
    """Scores of ``RUNS`` runs from two groups of ten terms, with effects of these ``sizes``."""
    random = np.random.default_rng(seed)
    matrix = np.hstack([np.ones((RUNS, 1)), random.choice([-1.0, 1.0], (RUNS, 20))])
    groups = (None, *("first",) * 10, *("second",) * 10)
    true = np.concatenate([[middle], *(size * random.standard_normal(10) for size in sizes)])
    quantity = np.linspace(-1, 1, RUNS)
    top1 = percent(matrix @ true)
    noise = std * np.exp(trend * quantity) * np.sqrt(variance(top1) / 2500)
    scores = np.clip(top1 + noise * random.standard_normal(RUNS), 0, 100)
    return matrix, scores, groups, quantity, true


def last_round(monkeypatch, *data):
    """Fit, and return the fit with the linear model of its last round."""
    rounds = []
    real = shrinkage._most_likely
    with monkeypatch.context() as patch:
        patch.setattr(shrinkage, "_most_likely", lambda *now: (rounds.append(now), real(*now))[1])
        fitted = shrink(*data)
    now, found, _ = rounds[-1]
    return fitted, now, found


def log_posterior(now, matrix, groups, stds):
    """Return the logarithm of the likelihood times the standard deviations of the groups."""
    names = [*dict.fromkeys(filter(None, groups))]
    each = [FREE if g is None else np.exp(stds[names.index(g)]) for g in groups]
    covariance = matrix @ np.diag(np.square(each)) @ matrix.T
    noise = np.exp(2 * (stds[-2] + stds[-1] * now.quantity)) * now.noise
    normal = multivariate_normal(np.zeros(RUNS), covariance + np.diag(noise))
    return normal.logpdf(now.response) + sum(stds[:-2])


def test_the_loss_is_the_log_posterior_and_its_slopes_are_the_finite_differences(monkeypatch):
    matrix, scores, groups, quantity, _ = made()
    _, now, found = last_round(monkeypatch, matrix, scores, groups, quantity)
    losses = []

    def keep(loss, start, **_):
        losses.append(loss)
        return SimpleNamespace(x=start)

    monkeypatch.setattr("scipy.optimize.minimize", keep)
    at, other = np.array([0.3, -0.7, -0.2, 0.4]), np.array([0.5, -0.8, 0.1, -0.1])
    shrinkage._most_likely(now, found, at)
    (loss,) = losses
    slopes = approx_fprime(at, lambda stds: loss(stds)[0], 1e-6)
    np.testing.assert_allclose(loss(at)[1], slopes, rtol=1e-4, atol=1e-4)
    higher, lower = (log_posterior(now, matrix, groups, stds) for stds in (at, other))
    assert loss(other)[0] - loss(at)[0] == pytest.approx(higher - lower)


def test_the_standard_deviations_are_the_most_likely_ones(monkeypatch):
    matrix, scores, groups, quantity, _ = made(trend=0.5)
    fitted, now, found = last_round(monkeypatch, matrix, scores, groups, quantity)
    best = shrinkage._most_likely(now, found, np.zeros(4))
    np.testing.assert_allclose(np.exp(best[:2]), [*fitted.group_std.values()], rtol=1e-3)
    highest = log_posterior(now, matrix, groups, best)
    for place in range(4):
        for step in (-0.1, 0.1):
            near = best + step * (np.arange(4) == place)
            assert log_posterior(now, matrix, groups, near) < highest


def test_coefficients_and_covariance_are_those_of_the_equivalent_linear_model():
    """Computed from the precisions of the terms, where ``shrink`` uses those of the runs."""
    matrix, scores, groups, quantity, _ = made(std=2.0, middle=30.0, sizes=(12.0, 4.0), trend=0.5)
    found = shrink(matrix, scores, groups, quantity)
    prior = [FREE if group is None else found.group_std[group] for group in groups]
    slopes = 100 * UNIT / variance(found.top1)  # of log-odds by points
    noise = slopes**2 * found.dispersion * np.exp(found.trend * quantity) * variance(found.top1)
    response = UNIT * np.log(found.top1 / (100 - found.top1)) + slopes * (scores - found.top1)

    def solved(inflated):
        precision = np.diag(1 / np.square(prior)) + matrix.T / (noise / inflated) @ matrix
        hat = matrix @ np.linalg.solve(precision, matrix.T / (noise / inflated))
        return precision, RUNS - np.trace(hat)

    inflated = 1.0
    for _ in range(50):  # the dispersion is stored for the rounded degrees of freedom
        precision, left = solved(inflated)
        inflated = left / found.degrees
    assert found.degrees == round(left - 2)
    np.testing.assert_allclose(
        found.coefficients,
        np.linalg.solve(precision, matrix.T @ (response / noise)) * inflated,
        atol=0.01,
    )
    np.testing.assert_allclose(
        found.covariance, np.linalg.inv(precision) * inflated, rtol=0.01, atol=1e-4
    )
    np.testing.assert_allclose(percent(matrix @ found.coefficients), found.top1, atol=1e-6)


def test_residuals_have_the_dispersion_that_is_reported():
    matrix, scores, groups, quantity, _ = made(trend=0.5)
    found = shrink(matrix, scores, groups, quantity)
    scaled = (scores - found.top1) ** 2 / variance(found.top1) / np.exp(found.trend * quantity)
    assert scaled.sum() / found.degrees == pytest.approx(found.dispersion, rel=0.01)


def test_a_group_without_effects_shrinks_and_one_with_effects_does_not():
    fits = [shrink(*made(seed)[:4]) for seed in range(10)]
    first, second = np.transpose([[*found.group_std.values()] for found in fits])
    assert 2 < np.median(first) < 4
    assert np.median(second) < 0.2
    for seed, found in enumerate(fits):
        matrix, scores, _, _, true = made(seed)
        share = np.clip(scores, 1, 99) / 100
        free = np.linalg.lstsq(matrix, UNIT * np.log(share / (1 - share)), rcond=None)[0]
        assert np.abs(found.coefficients - true)[11:].sum() < np.abs(free - true)[11:].sum()


def test_a_group_never_shrinks_to_nothing():
    """With scores that the first group explains, but for noise that no term explains."""
    matrix, _, groups, quantity, true = made()
    noise = np.random.default_rng(1).standard_normal(RUNS)
    noise -= matrix @ np.linalg.lstsq(matrix, noise, rcond=None)[0]
    found = shrink(matrix, percent(matrix @ true + noise), groups, quantity)
    assert found.group_std["second"] > 0.01
    assert (np.diag(found.covariance)[11:] > 0).all()


@pytest.mark.parametrize("middle", [-60.0, 0.0, 80.0])
def test_the_intercept_is_not_shrunk(middle):
    found = [
        shrink(*made(seed, middle=middle, sizes=(0.5, 0.5))[:4]).coefficients[0]
        for seed in range(10)
    ]
    assert np.mean(found) == pytest.approx(middle, abs=0.2)


def test_the_trend_of_the_variance_is_found():
    found = [shrink(*made(seed, trend=-1.0)[:4]).trend for seed in range(10)]
    assert np.mean(found) == pytest.approx(-2.0, abs=0.3)


def test_scores_of_0_and_100_percent_have_a_finite_fit():
    matrix, scores, groups, quantity, _ = made(sizes=(40.0, 20.0))
    scores = np.round(scores, -1)
    assert {0, 100} <= set(scores)
    found = shrink(matrix, scores, groups, quantity)
    numbers = (found.coefficients, found.covariance, found.top1, [*found.group_std.values()])
    assert all(np.isfinite(each).all() for each in numbers)
    assert ((found.top1 >= 0) & (found.top1 <= 100)).all()
    assert np.abs(found.top1 - scores).mean() < 5
