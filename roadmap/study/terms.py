"""The terms of a study's model, as columns of numbers. Imports no torch.

Factors are coded from -1 to 1 (``Factor.coded``). The terms are the intercept, each factor, the
square of each quantitative factor with at least three levels, and products of two factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from operator import itemgetter

import numpy as np

from roadmap.study.space import Levels, Space

#: Settings that may change the effect of any other factor.
CROSSED = ("lr", "epochs", "augmentation")
#: Those whose effects, alone and together, form a group of their own.
BUDGET = CROSSED[:2]
#: Settings that make training erratic, with the sign of their effect.
HASTE = {"epochs": -1.0, "lr": 1.0}
INTERCEPT = "intercept"


class Terms:
    """The terms of a model: their ``names``, and their values for combinations (``of``)."""

    def __init__(self, space: Space, interactions: Sequence[tuple[str, str]]):
        self.space = space
        self.interactions = tuple(interactions)
        factors = space.factors
        self._place = {factor.name: i for i, factor in enumerate(factors)}
        self._codes = [{key: factor.coded(key) for key in factor.keys} for factor in factors]
        self._squares = [
            i for i, factor in enumerate(factors) if factor.scale and len(factor.levels) > 2
        ]
        self._firsts = [self._place[first] for first, _ in interactions]
        self._seconds = [self._place[second] for _, second in interactions]
        self.names = (
            INTERCEPT,
            *(factor.name for factor in factors),
            *(f"{factors[i].name}²" for i in self._squares),
            *(f"{a} × {b}" for a, b in interactions),
        )

    def coded(self, points: Iterable[Levels]) -> np.ndarray:
        """Return combinations as codes from -1 to 1, (points, factors)."""
        points = tuple(points)
        columns = [
            [*map(codes.__getitem__, map(itemgetter(factor.name), points))]
            for codes, factor in zip(self._codes, self.space.factors, strict=True)
        ]
        return np.column_stack(columns)

    def matrix(self, coded: np.ndarray) -> np.ndarray:
        """Return the terms, (points, terms), of ``coded`` points, (points, factors)."""
        squares, products = coded[:, self._squares] ** 2, coded[:, self._firsts]
        products *= coded[:, self._seconds]
        return np.hstack([np.ones((len(coded), 1)), coded, squares, products])

    def of(self, points: Iterable[Levels]) -> np.ndarray:
        """Return the terms of combinations, (points, terms)."""
        return self.matrix(self.coded(points))

    def place(self, factor: str) -> int:
        """Return the column of a factor in ``coded``."""
        return self._place[factor]

    @property
    def groups(self) -> tuple[str | None, ...]:
        """The group of each term, whose coefficients are alike in size; None for the intercept."""
        factors = self.space.factors
        squares = [(factors[i].name,) * 2 for i in self._squares]
        return (
            None,
            *("budget" if factor.name in BUDGET else "factors" for factor in factors),
            *(_group(pair) for pair in [*squares, *self.interactions]),
        )

    @property
    def haste(self) -> dict[str, float]:
        """Weights of the coded settings that vary among ``HASTE``.

        Their weighted sum is 1 for the shortest training at the highest rate, -1 for the opposite.
        """
        signs = {name: sign for name, sign in HASTE.items() if name in self.space.by_name}
        return {name: sign / len(signs) for name, sign in signs.items()}

    def weighted(self, rows: np.ndarray, weights: Mapping[str, float]) -> np.ndarray:
        """Return the weighted sum of coded factors, (points,), in ``rows`` of terms."""
        columns = [weight * rows[:, 1 + self._place[name]] for name, weight in weights.items()]
        return np.sum([np.zeros(len(rows)), *columns], axis=0)


def _group(pair: tuple[str, str]) -> str:
    settings = [name for name in pair if name in BUDGET]
    if len(settings) == 2:
        return "budget"
    return f"with {settings[0]}" if settings else "pairs"


def every_pair(space: Space) -> tuple[tuple[str, str], ...]:
    """Return all pairs of factors, in the order of the space."""
    return tuple(combinations([factor.name for factor in space.factors], 2))


def crossed(space: Space, more: Sequence[tuple[str, str]] = ()) -> tuple[tuple[str, str], ...]:
    """Return the pairs of each ``CROSSED`` setting with every other factor, and ``more``."""
    settings = [name for name in CROSSED if name in space.by_name]
    pairs = [
        (factor.name, setting)
        for setting in settings
        for factor in space.factors
        if factor.name not in settings
    ]
    pairs += [(a, b) for i, a in enumerate(settings) for b in settings[i + 1 :]]
    return (*pairs, *more)
