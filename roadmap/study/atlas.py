"""The valid combinations of a space, with cost and predicted top-1."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from models.config import ConfigError
from roadmap.study.effects import RATE_CODES, Effects
from roadmap.study.model import Model
from roadmap.study.space import Level, Levels, Space, StudyError, merged
from roadmap.study.speed import Speed


class Limits(NamedTuple):
    """The most a network may cost: 1e9 multiply-adds, parameters, minutes of training."""

    gmacs: float | None = None
    parameters: float | None = None
    minutes: float | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Atlas:
    """All valid combinations of the factors that change the network, under fixed settings.

    ``top1`` and the ends ``low`` and ``high`` of its 95% prediction interval are in percent, at the
    best learning rate ``lr`` of each network (None if the learning rate is fixed). ``gmacs`` is in
    1e9 multiply-adds at 224 pixels, ``minutes`` the estimated time of training (None if unknown).
    Arrays are (combinations,).
    """

    levels: tuple[Levels, ...]
    gmacs: np.ndarray
    parameters: np.ndarray
    top1: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lr: np.ndarray | None
    minutes: np.ndarray | None = None

    def best(self, limits: Limits = NO_LIMITS) -> int:
        """Return the index of the combination with the highest prediction within ``limits``.

        Raises ``StudyError`` if no combination is within them, or if time is limited but unknown.
        """
        if limits.minutes is not None and self.minutes is None:
            raise StudyError("the training time of these networks is unknown")
        costs = {"gmacs": self.gmacs, "parameters": self.parameters, "minutes": self.minutes}
        within = np.ones(len(self.levels), dtype=bool)
        for name, most in limits._asdict().items():
            if most is not None:
                within &= costs[name] <= most
        if not within.any():
            raise StudyError(f"no network is within these limits; {self._least()}")
        return int(np.where(within, self.top1, -np.inf).argmax())

    def _least(self) -> str:
        gflops, parameters = _two_digits(self.gmacs.min(), self.parameters.min() / 1e6)
        said = (
            f"the lowest cost is {gflops} GFLOPs, the smallest size {parameters} million parameters"
        )
        if self.minutes is None:
            return said
        return f"{said}, the shortest training {_two_digits(self.minutes.min())[0]} minutes"

    def front(self, costs: np.ndarray) -> np.ndarray:
        """Return the indices of the Pareto front of top-1 and ``costs``, cheapest first."""
        order = np.lexsort((-self.top1, costs))
        best = np.maximum.accumulate(self.top1[order])
        first = np.concatenate([[True], best[1:] > best[:-1]])
        return order[first]


def _two_digits(*numbers: float) -> list[str]:
    """Round up to two significant digits, so that the results work as limits."""
    steps = [10.0 ** (math.floor(math.log10(number)) - 1) for number in numbers]
    return [f"{math.ceil(n / s) * s:.3g}" for n, s in zip(numbers, steps, strict=True)]


def atlas(effects: Effects, *, own_rate: bool = True, speed: Speed | None = None) -> Atlas:
    """Predict all combinations of the factors that change the network, with ``effects``' settings.

    With ``own_rate``, each network is predicted at its own best learning rate. ``speed`` estimates
    the time of training.
    """
    space = effects.space
    networks = _networks(space)
    fixed = {name: effects.start[name] for name in _settings(space)}
    levels = tuple(one | fixed for one in networks.levels)
    coded = effects.coded(levels)
    model, rates = effects.model, None
    if own_rate and effects.has_best_rate:
        best = _best_codes(model, coded)
        coded[:, model.terms.place("lr")] = best
        rates = effects.rate_of(best)
    bands = model.bands(model.terms.matrix(coded))
    minutes = None
    if speed is not None:
        minutes = effects.epochs * speed.epoch_seconds(levels, networks.gmacs) / 60
    return Atlas(levels, networks.gmacs, networks.parameters, *bands, rates, minutes)


def _best_codes(model: Model, coded: np.ndarray) -> np.ndarray:
    """Return the code of the best of ``RATE_CODES`` for each combination.

    Log-odds are quadratic in that code, so three rates give all of them.
    """
    coded, place = coded.copy(), model.terms.place("lr")
    odds = []
    for code in (-1.0, 0.0, 1.0):
        coded[:, place] = code
        odds.append(model.terms.matrix(coded) @ model.coefficients)
    low, middle, high = odds
    slope, bend = (high - low) / 2, (high + low) / 2 - middle
    return RATE_CODES[(np.outer(slope, RATE_CODES) + np.outer(bend, RATE_CODES**2)).argmax(1)]


@dataclass(frozen=True)
class _Networks:
    levels: tuple[dict[str, str], ...]
    gmacs: np.ndarray
    parameters: np.ndarray


def _settings(space: Space) -> tuple[str, ...]:
    """Return the names of the factors that do not change the network's layers."""
    return tuple(factor.name for factor in space.factors if not factor.changes_layers)


@lru_cache(maxsize=4)
def _networks(space: Space) -> _Networks:
    """Return the valid networks with their costs, in the order of the product of all levels."""
    settings = _settings(space)
    varied = [factor for factor in space.factors if factor.name not in settings]
    costly = [factor for factor in varied if factor.changes_cost]
    # Validity and cost are found once for all levels of the other factors.
    combinations = itertools.product(*(factor.levels for factor in costly))
    costs = np.array([_cost(space, levels) for levels in combinations])
    shape = [len(factor.keys) if factor.changes_cost else 1 for factor in varied]
    gmacs, parameters = (
        np.broadcast_to(column.reshape(shape), [len(factor.keys) for factor in varied]).ravel()
        for column in costs.T
    )
    valid = np.isfinite(gmacs)
    names = [factor.name for factor in varied]
    levels = (
        space.origin | dict(zip(names, keys, strict=True))
        for keys in itertools.compress(itertools.product(*(f.keys for f in varied)), valid)
    )
    return _Networks(tuple(levels), gmacs[valid], parameters[valid])


def _cost(space: Space, levels: Sequence[Level]) -> tuple[float, float]:
    """Return 1e9 multiply-adds and parameters of the start with ``levels``, NaN if it is not in
    the space."""
    try:
        return space.checked_cost(space.start.replace(**merged(level.config for level in levels)))
    except (ConfigError, StudyError):
        return np.nan, np.nan


def changed_titles(space: Space, levels: Levels, names: Sequence[str] | None = None) -> list[str]:
    """Return the titles of the levels that differ from the start."""
    return [
        factor.level(levels[factor.name]).title
        if factor.scale is None
        else f"{factor.title} {levels[factor.name]}"
        for factor in space.factors
        if levels[factor.name] != factor.keys[0] and (names is None or factor.name in names)
    ]
