"""I-optimal designs over a constrained space, which minimize the mean prediction variance.

The algorithm exchanges coordinates and random candidates (Meyer and Nachtsheim 1995; Goos and
Jones, "Optimal Design of Experiments", 2011, Chapter 4). Compared with a D-optimal design of the
same size, effects are as precise, and more runs have intermediate learning rates and epochs, which
show curvature. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from roadmap.study.design import Design, Point
from roadmap.study.space import Space, StudyError
from roadmap.study.terms import Terms

#: Keeps the information matrix invertible if there are fewer points than terms.
RIDGE = 1e-3
MOST_PASSES = 12
MOST_TRIES = 10_000
LEAST_GAIN = 1e-5  # in the mean variance, in units of the variance of a run
SINGULAR = 1e-9
#: Random valid combinations that each point is compared with in a pass.
CANDIDATES = 48
#: Random combinations over which the variance is averaged.
AVERAGED = 3000


def optimal_design(
    name: str,
    space: Space,
    interactions: Sequence[tuple[str, str]],
    *,
    runs: int,
    replicates: int = 0,
    held_out: int = 0,
    seed: int = 0,
) -> Design:
    """Return a design of ``runs`` I-optimal points.

    ``replicates`` of them are repeated with another seed, and ``held_out`` random points are added.
    Points that add the most information come first. Raises ``StudyError`` for fewer runs than
    terms, and if almost no combination with some level is valid.
    """
    terms = Terms(space, interactions)
    if runs < len(terms.names):
        raise StudyError(
            f"{runs} runs are too few for {len(terms.names)} terms; use at least as many runs as "
            "terms, or fewer interactions"
        )
    random = np.random.default_rng(seed)
    pool = sample(space, runs, random)
    exchange(pool, terms, random)
    ordered = [pool[i] for i in _informative_order(terms.of(pool))]
    points = [Point(key=f"{i:03}", role="fit", levels=p) for i, p in enumerate(ordered, 1)]
    again = random.choice(runs, replicates, replace=False)
    repeats = [
        Point(key=f"r{i:02}", role="replicate", levels=points[place].levels, seed=1)
        for i, place in enumerate(sorted(again), 1)
    ]
    kept = sample(space, held_out, random)
    others = [Point(key=f"h{i:02}", role="held_out", levels=p) for i, p in enumerate(kept, 1)]
    return Design(
        name=name,
        space=space,
        points=tuple(_spread(points, repeats, others)),
        interactions=tuple(interactions),
    )


def sample(space: Space, number: int, random: np.random.Generator) -> list[dict[str, str]]:
    """Draw ``number`` random valid combinations.

    For each, one level of a random factor is fixed, and the others are drawn until the combination
    is valid, so that levels with few valid combinations are not missed.
    """
    return [_drawn(space, random) for _ in range(number)]


def _drawn(space: Space, random: np.random.Generator) -> dict[str, str]:
    fixed = space.factors[random.integers(len(space.factors))]
    key = fixed.keys[random.integers(len(fixed.keys))]
    for _ in range(MOST_TRIES):
        levels = {f.name: f.keys[random.integers(len(f.keys))] for f in space.factors}
        levels[fixed.name] = key
        if space.problem(levels) is None:
            return levels
    raise StudyError(
        f"almost no combination with {fixed.name} {key} is valid; relax the limits of the space"
    )


def exchange(pool: list[dict[str, str]], terms: Terms, random: np.random.Generator) -> None:
    """Improve ``pool`` in place until no single exchange reduces the mean variance."""
    average = terms.of(sample(terms.space, AVERAGED, random))
    moments = average.T @ average / AVERAGED
    matrix = terms.of(pool)
    for _ in range(MOST_PASSES):
        # Recomputed in each pass, as rounding errors of the updates add up.
        inverse = np.linalg.inv(matrix.T @ matrix + RIDGE * np.eye(matrix.shape[1]))
        improved = False
        for place in random.permutation(len(pool)):
            options = _neighbors(terms.space, pool[place])
            options += sample(terms.space, CANDIDATES, random)
            rows = terms.of(options)
            gains = _gains(inverse, moments, matrix[place], rows)
            best = int(gains.argmax())
            if gains[best] > LEAST_GAIN:
                inverse = _exchanged(inverse, matrix[place], rows[best])
                pool[place], matrix[place] = options[best], rows[best]
                improved = True
        if not improved:
            return


def standard_errors(design: Design) -> dict[str, float]:
    """Return the standard error of each factor's effect, from code -1 to 1.

    It is that of least squares with the design's own terms, in units of the standard deviation of a
    run around them. The model that is fitted has every pair of factors, shrunk by as much as the
    scores say (``roadmap.study.model``), so its precision is only known with the scores.
    """
    terms = Terms(design.space, design.interactions)
    matrix = terms.of(p.levels for p in design.points if p.role in ("fit", "replicate"))
    covariance = np.linalg.pinv(matrix.T @ matrix)
    errors = 2 * np.sqrt(np.diag(covariance))
    return {f.name: float(errors[1 + i]) for i, f in enumerate(design.space.factors)}


def precision(design: Design) -> dict[str, float] | None:
    """Return half the 95% interval of each factor's effect, if runs have a standard deviation of 1.

    Standard errors are those of ``standard_errors``. Returns None if the design has too few points
    for its terms.
    """
    fitted = sum(point.role in ("fit", "replicate") for point in design.points)
    degrees = fitted - len(Terms(design.space, design.interactions).names)
    if degrees < 1:
        return None
    from scipy.stats import t

    wide = float(t.ppf(0.975, degrees))
    return {name: wide * error for name, error in standard_errors(design).items()}


def _neighbors(space: Space, levels: dict[str, str]) -> list[dict[str, str]]:
    """Return the valid combinations that differ in one factor."""
    others = [
        levels | {factor.name: key}
        for factor in space.factors
        for key in factor.keys
        if key != levels[factor.name]
    ]
    return [other for other in others if space.problem(other) is None]


def _gains(
    inverse: np.ndarray, moments: np.ndarray, old: np.ndarray, new: np.ndarray
) -> np.ndarray:
    """Return the reduction of the mean variance when each row of ``new`` replaces ``old``."""
    variance, share = inverse @ old, inverse @ (moments @ (inverse @ old))
    spread = new @ inverse
    own, own_share = old @ variance, old @ share
    each, each_share = (spread * new).sum(1), ((spread @ moments) * spread).sum(1)
    both, both_share = new @ variance, new @ share
    # Woodbury identity, with the 2 × 2 matrix of each exchange inverted by hand.
    first, second = 1 + each, own - 1
    determinant = first * second - both**2
    singular = np.abs(determinant) < SINGULAR
    fall = second * each_share - 2 * both * both_share + first * own_share
    return np.where(singular, -1.0, fall / np.where(singular, 1.0, determinant))


def _exchanged(inverse: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return ``inverse`` after the exchange (Woodbury identity)."""
    pair = np.column_stack([new, old])
    signs = np.diag([1.0, -1.0])
    at = inverse @ pair
    return inverse - at @ np.linalg.inv(signs + pair.T @ at) @ at.T


def _informative_order(matrix: np.ndarray) -> list[int]:
    """Return the order of rows in which each adds the most information to those before."""
    inverse = np.eye(matrix.shape[1])
    left, order = list(range(len(matrix))), []
    while left:
        rows = matrix[left]
        place = int(np.einsum("ij,jk,ik->i", rows, inverse, rows).argmax())
        at = inverse @ rows[place]
        inverse -= np.outer(at, at) / (1 + rows[place] @ at)
        order.append(left.pop(place))
    return order


def _spread(points: list[Point], repeats: list[Point], others: list[Point]) -> list[Point]:
    """Spread held-out points and replicates evenly, each replicate after its original."""
    placed = [(float(i), point) for i, point in enumerate(points)]
    step = len(points) / (len(others) + 1)
    placed += [((i + 1) * step - 0.5, point) for i, point in enumerate(others)]
    places = {tuple(sorted(point.levels.items())): i for i, point in enumerate(points)}
    for i, point in enumerate(repeats):
        original = places[tuple(sorted(point.levels.items()))]
        even = (i + 1) * len(points) / (len(repeats) + 1)
        placed.append((max(original, even) + 0.25, point))
    return [point for _, point in sorted(placed, key=lambda pair: pair[0])]
