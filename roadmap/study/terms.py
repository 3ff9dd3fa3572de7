"""The terms of a study's model, as columns of numbers. Imports no torch.

Factors are coded from -1 to 1 (``Factor.coded``). The terms are the intercept, each factor, the
square of each quantitative factor with at least three levels, and the products of
``Design.interactions``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from roadmap.study.space import Factor, Levels, Space

#: Settings that may change the effect of any other factor.
CROSSED = ("lr", "epochs", "augmentation")
INTERCEPT = "intercept"


class Terms:
    """The terms of a model: their ``names``, and their values for combinations (``of``)."""

    def __init__(
        self, space: Space, interactions: Sequence[tuple[str, str]], *, squares: bool = True
    ):
        self.space = space
        self.interactions, self.squares = tuple(interactions), squares
        factors = space.factors
        self._place = {factor.name: i for i, factor in enumerate(factors)}
        self._codes = [{key: factor.coded(key) for key in factor.keys} for factor in factors]
        self._squares = [
            i
            for i, factor in enumerate(factors)
            if squares and factor.scale and len(factor.levels) > 2
        ]
        self._pairs = [(self._place[a], self._place[b]) for a, b in interactions]
        self.names = (
            INTERCEPT,
            *(factor.name for factor in factors),
            *(f"{factors[i].name}²" for i in self._squares),
            *(f"{a} × {b}" for a, b in interactions),
        )

    def coded(self, points: Iterable[Levels]) -> np.ndarray:
        """Return combinations as codes from -1 to 1, (points, factors)."""
        rows = [
            [codes[levels[factor.name]] for codes, factor in self._factors()] for levels in points
        ]
        return np.array(rows, dtype=float).reshape(-1, len(self._codes))

    def matrix(self, coded: np.ndarray) -> np.ndarray:
        """Return the terms, (points, terms), of ``coded`` points, (points, factors)."""
        columns = [np.ones(len(coded)), *coded.T]
        columns += [coded[:, i] ** 2 for i in self._squares]
        columns += [coded[:, a] * coded[:, b] for a, b in self._pairs]
        return np.column_stack(columns)

    def of(self, points: Iterable[Levels]) -> np.ndarray:
        """Return the terms of combinations, (points, terms)."""
        return self.matrix(self.coded(points))

    def place(self, factor: str) -> int:
        """Return the column of a factor in ``coded``."""
        return self._place[factor]

    def _factors(self) -> Iterable[tuple[dict[str, float], Factor]]:
        return zip(self._codes, self.space.factors, strict=True)


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
