"""The value of each change in four views, and how it depends on the length of training.

The views are: alone, in the paper's place, averaged over all orders, and at each network's own best
learning rate. In the first three, a value is a weighted sum of predictions, for which the model
gives the interval. The average over orders is the Shapley value (Shapley 1953), restricted to
orders in which every intermediate network is valid.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from roadmap.analysis.significance import holm
from roadmap.analysis.verdict import IMPOSSIBLE, verdict
from roadmap.definition import Step
from roadmap.steps import ROADMAPS
from roadmap.study.model import CONFIDENCE, Effect, Model, Prediction, combination_row, percent
from roadmap.study.space import ON, Factor, Levels, Space, StudyError

VIEWS = ("alone", "in place", "all orders", "own rate")
#: Draws of the coefficients for intervals at the best rate, which is itself uncertain.
DRAWS = 1000
GRID = 41
RATE_CODES = np.linspace(-1, 1, GRID)
CORNERS = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])


@dataclass(frozen=True)
class EffectSettings:
    """How the compared networks are trained.

    ``levels`` has level keys by factor. ``lr`` None is the middle learning rate that was trained,
    ``epochs`` None the largest number of epochs.
    """

    levels: Mapping[str, str] = field(default_factory=dict)
    lr: float | None = None
    epochs: float | None = None


class StudyChange(NamedTuple):
    """A change of the roadmap: factor ``name`` goes from level ``before`` to ``after``."""

    name: str
    title: str
    before: str
    after: str


class Worth(NamedTuple):
    """The value of a change in one view.

    ``effect`` is None if there is no such network; ``why`` gives the reason. ``verdict`` is gain,
    loss, inconclusive or impossible, after Holm's correction for all changes in the view.
    """

    change: StudyChange
    effect: Effect | None
    verdict: str
    why: str = ""


class Budget(NamedTuple):
    """The value of a change at several numbers of epochs, in ascending order.

    ``pays_from`` is the number of epochs from which on the 95% interval is above zero, None if
    there is none. ``costs`` is whether the interval is below zero at every number.
    """

    change: StudyChange
    at: tuple[tuple[float, Effect], ...]

    @property
    def pays_from(self) -> float | None:
        lasting = itertools.takewhile(lambda one: one[1].low > 0, reversed(self.at))
        return min((length for length, _ in lasting), default=None)

    @property
    def costs(self) -> bool:
        return all(effect.high < 0 for _, effect in self.at)


class Interaction(NamedTuple):
    """How much the effect of factor ``first`` changes across the range of ``second``."""

    first: Factor
    second: Factor
    effect: Effect


class Effects:
    """Estimates of ``model`` for networks trained with ``settings``.

    Raises ``StudyError`` for settings that the design does not have or that were not trained.
    """

    def __init__(self, model: Model, settings: EffectSettings | None = None):
        self.model, self.settings = model, settings or EffectSettings()
        self.space: Space = model.design.space
        self.quantities = _quantities(self.space, self.settings)
        self.start = self.space.origin | self.checked(self.settings.levels)

    def checked(self, levels: Levels) -> dict[str, str]:
        """Return ``levels``, checked. Raises ``StudyError`` for an unknown factor or level, and for
        a factor whose value comes from the settings (learning rate, epochs)."""
        for name, key in levels.items():
            self.space.factor(name).level(key)
            if name in self.quantities:
                raise StudyError(f"{name} is not selected by a level; use --{name} {key}")
        return dict(levels)

    @cached_property
    def changes(self) -> tuple[StudyChange, ...]:
        """The changes on the adopted path, in order."""
        roadmap = ROADMAPS[self.space.roadmap]
        order: dict[str, str] = {}
        for factor in self.space.factors:
            if factor.kind != "change":
                continue
            for step in roadmap.steps:
                level = _level_of(factor, step)
                if step.adopted and level is not None:
                    order[factor.name] = level
        changes = []
        for name, level in order.items():
            factor = self.space.factor(name)
            title = factor.title if level == ON else f"{factor.title} {level}"
            changes.append(StudyChange(name, title, factor.keys[0], level))
        return tuple(changes)

    # -- the four views ----------------------------------------------------------------------

    def worth(self, view: str) -> tuple[Worth, ...]:
        """Return the value of every change in one of ``views``. Raises ``StudyError``."""
        if view not in self.views:
            raise StudyError(f"view is {view!r}; use {', '.join(self.views)}")
        found = {
            "alone": self._alone,
            "in place": self._in_place,
            "all orders": self._all_orders,
            "own rate": self._own_rate,
        }
        return _judged(found[view]())

    @property
    def views(self) -> tuple[str, ...]:
        """The available views; a best learning rate needs its square in the model."""
        return VIEWS if self.has_best_rate else VIEWS[:-1]

    @property
    def epochs(self) -> float:
        """The length of training that the predictions are for."""
        return self.quantities.get("epochs", float(self.space.training(self.start).epochs))

    @property
    def has_best_rate(self) -> bool:
        return "lr²" in self.model.terms.names

    def _alone(self) -> list[Worth]:
        found = []
        for change in self.changes:
            after = self.start | {change.name: change.after}
            problem = self.space.problem(after)
            effect = None if problem else self._difference(self.start, after)
            found.append(Worth(change, effect, "", problem or ""))
        return found

    def _in_place(self) -> list[Worth]:
        effects = self._effects_in_place()
        return [
            Worth(change, effect, "") for change, effect in zip(self.changes, effects, strict=True)
        ]

    def _effects_in_place(self) -> list[Effect]:
        path = self.path([change.name for change in self.changes])
        return [self._difference(before, after) for before, after in itertools.pairwise(path)]

    def _all_orders(self) -> list[Worth]:
        rows, weights = self._lattice_rows()
        return [
            Worth(change, self.model.effect(rows, each), "")
            for change, each in zip(self.changes, weights, strict=True)
        ]

    def _own_rate(self) -> list[Worth]:
        path = self.path([change.name for change in self.changes])
        best = [self._at_best_rate(levels) for levels in path]
        return [
            Worth(change, _drawn_effect(after - before), "")
            for change, before, after in zip(self.changes, best, best[1:], strict=False)
        ]

    # -- paths -------------------------------------------------------------------------------

    def path(self, order: Sequence[str]) -> list[dict[str, str]]:
        """Return the combinations from the start on, as changes are added in ``order``.

        Raises ``StudyError`` naming the first change that gives an invalid network.
        """
        known = {change.name: change for change in self.changes}
        levels = dict(self.start)
        found = [levels]
        for name in order:
            if name not in known:
                raise StudyError(f"{name} is not a change of this space; use {', '.join(known)}")
            levels = levels | {name: known[name].after}
            problem = self.space.problem(levels)
            if problem:
                raise StudyError(f"{known[name].title} cannot come here: {problem}")
            found.append(levels)
        return found

    def predicted(self, levels: Levels, lr: float | None = None) -> Prediction:
        """Predict top-1 of one combination. Raises ``StudyError`` if it is not in the space."""
        problem = self.space.problem(levels)
        if problem:
            raise StudyError(f"this combination is not covered: {problem}")
        return self.model.predict(self._row(levels, lr)[None])[0]

    def best_rate(self, levels: Levels) -> float | None:
        """Return the learning rate in the trained range with the highest prediction for ``levels``.

        Returns None if the model has no best rate.
        """
        if not self.has_best_rate:
            return None
        scores = self._rate_rows(levels) @ self.model.coefficients  # log-odds peak where top-1 does
        return float(self.rate_of(RATE_CODES[scores.argmax()]))

    # -- length of training, interactions -----------------------------------------------------

    def budgets(self, epochs: Sequence[float]) -> tuple[Budget, ...]:
        """Return the value of each change in the paper's place at each number of ``epochs``."""
        levels, lr = self.settings.levels, self.settings.lr
        columns = [
            Effects(self.model, EffectSettings(levels, lr, one))._effects_in_place()
            for one in epochs
        ]
        found = []
        for i, change in enumerate(self.changes):
            at = tuple((e, column[i]) for e, column in zip(epochs, columns, strict=True))
            found.append(Budget(change, at))
        return tuple(found)

    def interactions(self) -> tuple[Interaction, ...]:
        """Return the interactions, strongest first, with all other factors at mid-range."""
        found = []
        for first, second in self.model.terms.interactions:
            places = self.model.terms.place(first), self.model.terms.place(second)
            corners = np.zeros((4, len(self.space.factors)))
            corners[:, places] = CORNERS
            rows = self.model.terms.matrix(corners)
            effect = self.model.effect(rows, CORNERS.prod(axis=1))
            found.append(Interaction(self.space.factor(first), self.space.factor(second), effect))
        return tuple(sorted(found, key=lambda one: -abs(one.effect.points)))

    # -- rows of terms -----------------------------------------------------------------------

    def _row(self, levels: Levels, lr: float | None = None) -> np.ndarray:
        quantities = self.quantities | ({"lr": lr} if lr is not None else {})
        return combination_row(self.model, levels, **quantities)

    def _difference(self, before: Levels, after: Levels) -> Effect:
        rows = np.stack([self._row(before), self._row(after)])
        return self.model.effect(rows, np.array([-1.0, 1.0]))

    def _lattice_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the terms of valid sets of changes, (sets, terms), and weights (changes, sets).

        The weighted sums of the predictions are the mean effects over all valid orders.
        """
        masks, weights = _lattice(self.space, self.changes)
        coded = np.repeat(self.coded([self.start]), len(masks), axis=0)
        for i, change in enumerate(self.changes):
            factor, place = self.space.factor(change.name), self.model.terms.place(change.name)
            ends = factor.coded(change.before), factor.coded(change.after)
            coded[:, place] = np.where(masks >> i & 1, ends[1], ends[0])
        return self.model.terms.matrix(coded), weights

    def coded(self, combinations: Sequence[Levels]) -> np.ndarray:
        """Return combinations as codes from -1 to 1, (combinations, factors).

        Learning rate and epochs are those of the settings.
        """
        coded = self.model.terms.coded(combinations)
        for name, value in self.quantities.items():
            coded[:, self.model.terms.place(name)] = self.space.factor(name).coded_value(value)
        return coded

    def rate_of(self, codes: np.ndarray) -> np.ndarray:
        """Convert codes from -1 to 1 to learning rates."""
        values = self.space.factor("lr").values
        return min(values) * (max(values) / min(values)) ** ((codes + 1) / 2)

    def _rate_rows(self, levels: Levels) -> np.ndarray:
        coded = np.repeat(self.coded([levels]), GRID, axis=0)
        coded[:, self.model.terms.place("lr")] = RATE_CODES
        return self.model.terms.matrix(coded)

    def _at_best_rate(self, levels: Levels) -> np.ndarray:
        """Return top-1 at the best rate for each draw of the coefficients, (draws,)."""
        return percent((self._draws @ self._rate_rows(levels).T).max(1))

    @cached_property
    def _draws(self) -> np.ndarray:
        """Draws of the coefficients, (draws, terms), with the fitted ones first."""
        random = np.random.default_rng(0)
        model = self.model
        normal = random.multivariate_normal(
            np.zeros(len(model.coefficients)),
            model.covariance,
            DRAWS,
            method="eigh",
            check_valid="ignore",  # terms that always occur together make it singular
        )
        wide = np.sqrt(model.degrees / random.chisquare(model.degrees, DRAWS))
        return np.vstack([model.coefficients, model.coefficients + normal * wide[:, None]])


def _quantities(space: Space, settings: EffectSettings) -> dict[str, float]:
    """Return the learning rate and epochs to compare at, if they are quantitative factors."""
    found = {}
    for name, given in (("lr", settings.lr), ("epochs", settings.epochs)):
        factor = space.by_name.get(name)
        if factor is None or factor.scale is None:
            if given is not None:
                raise StudyError(f"this design does not vary {name} over a range; omit --{name}")
            continue
        values = sorted(factor.values)
        usual = values[-1] if name == "epochs" else values[len(values) // 2]
        value = usual if given is None else given
        if not values[0] <= value <= values[-1]:
            raise StudyError(
                f"--{name} is {value:g}; the trained range is {values[0]:g} to {values[-1]:g}"
            )
        found[name] = value
    return found


def _level_of(factor: Factor, step: Step) -> str | None:
    """Return the level of ``factor`` that ``step`` sets; None if it sets another factor."""
    return next((level.key for level in factor.levels if level.step == step.key), None)


def _judged(found: Sequence[Worth]) -> tuple[Worth, ...]:
    """Return ``found`` with verdicts, corrected for the number of tested changes."""
    tested = {i: worth.effect for i, worth in enumerate(found) if worth.effect is not None}
    adjusted = dict(zip(tested, holm([effect.p for effect in tested.values()]), strict=True))
    judged = []
    for i, worth in enumerate(found):
        effect = worth.effect
        reached = verdict(effect.points, adjusted[i]) if effect else IMPOSSIBLE
        judged.append(worth._replace(verdict=reached))
    return tuple(judged)


def _drawn_effect(draws: np.ndarray) -> Effect:
    """Return the effect from draws of a difference, with the fitted one first."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws[1:], [tail, 100 - tail])
    above = (1 + (draws[1:] > 0).sum()) / (len(draws) + 1)
    p = float(min(1.0, 2 * min(above, 1 - above)))
    return Effect(float(draws[0]), float(low), float(high), p)


@lru_cache(maxsize=8)
def _lattice(space: Space, changes: tuple[StudyChange, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the valid sets of ``changes`` as bit masks, (sets,), and weights, (changes, sets).

    Weights times any value of the sets is the mean increase of that value by each change, over all
    valid orders. Raises ``StudyError`` if there is no valid order.
    """
    ways = _ways_there(space, changes)
    whole = (1 << len(changes)) - 1
    if whole not in ways:
        raise StudyError("no order of the changes has a valid network after every change")
    back = {whole: 1}
    for mask in sorted(ways, reverse=True)[1:]:
        larger = (mask | 1 << i for i in range(len(changes)) if not mask & 1 << i)
        back[mask] = sum(back.get(one, 0) for one in larger)
    masks = np.array(sorted(ways))
    places = {int(mask): place for place, mask in enumerate(masks)}
    weights = np.zeros((len(changes), len(masks)))
    for mask, place in places.items():
        for i in range(len(changes)):
            after = mask | 1 << i
            if after != mask and after in places:
                share = ways[mask] * back[after] / ways[whole]
                weights[i, places[after]] += share
                weights[i, place] -= share
    return masks, weights


def _ways_there(space: Space, changes: tuple[StudyChange, ...]) -> dict[int, int]:
    """Count the valid orders that lead to each set of changes, by bit mask."""
    ways = {0: 1}
    for mask in range(1 << len(changes)):
        if mask not in ways:
            continue
        levels = space.origin | {c.name: c.after for i, c in enumerate(changes) if mask & 1 << i}
        for i, change in enumerate(changes):
            after = mask | 1 << i
            if after == mask:
                continue
            if after in ways or space.problem(levels | {change.name: change.after}) is None:
                ways[after] = ways.get(after, 0) + ways[mask]
    return ways
