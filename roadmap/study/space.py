"""A space of networks and recipes: factors, each with levels that are small changes.

The factors of a roadmap follow from its steps, so a step of one's own becomes one by itself. A
combination of levels is valid if ``ModelConfig`` accepts it and its cost is within the limit.
Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from models.config import FIELDS, ConfigError, ModelConfig, differences
from roadmap.measure.complexity import totals
from roadmap.recipes import Recipe
from roadmap.steps import ROADMAPS, Roadmap, Step, existing, unknown_name

#: Level keys by factor name: one combination.
Levels = Mapping[str, str]
OFF, ON = "off", "on"
#: Image side, in pixels, at which the cost of a network is counted.
COST_SIZE = 224
#: Network fields that are factors of their own and not part of a step's change.
_SEPARATE_FIELDS = ("init", "layer_scale")


class StudyError(ValueError):
    """A space, design or model that cannot be used; one sentence says why."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """One choice of a factor. ``value`` is its number where the factor is a quantity, ``step``
    the roadmap's step that makes it, if one does."""

    key: str
    title: str
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)
    value: float | None = None
    step: str | None = None


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A choice that runs differ in; its first level is the start.

    ``kind``: ``change`` for a step of the roadmap, ``setting`` for how a network is trained.
    ``scale``: ``log2`` or ``linear`` where the levels are quantities, None for a plain choice.
    """

    name: str
    title: str
    levels: tuple[Level, ...]
    kind: str = "change"
    scale: str | None = None

    @cached_property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._by_key)

    @cached_property
    def _by_key(self) -> dict[str, Level]:
        return {level.key: level for level in self.levels}

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers of a quantity's levels, in their order."""
        return tuple(level.value for level in self.levels if level.value is not None)

    def level(self, key: str) -> Level:
        """Raises ``StudyError`` with the levels there are."""
        if isinstance(key, str) and key in self._by_key:
            return self._by_key[key]
        raise StudyError(f"{self.name} has no level {key!r}.{existing(str(key), self.keys)}")

    def coded(self, key: str) -> float:
        """The level as a number from -1 to 1: by its value, or -1 and 1 for a plain choice."""
        place = self.keys.index(self.level(key).key)
        if self.scale is None:
            return 2.0 * place / (len(self.levels) - 1) - 1.0
        return self.coded_value(self.values[place])

    def coded_value(self, value: float) -> float:
        """A quantity, not necessarily that of a level, on the scale of ``coded``."""
        number = math.log2 if self.scale == "log2" else float
        values = [number(each) for each in self.values]
        low, high = min(values), max(values)
        return 2.0 * (number(value) - low) / (high - low) - 1.0


@dataclass(frozen=True)
class Space:
    """Factors over a start. ``max_gmacs``: the most multiply-adds, in 1e9 at 224 pixels."""

    roadmap: str
    start: ModelConfig
    recipe: Recipe
    factors: tuple[Factor, ...]
    max_gmacs: float | None = None

    @cached_property
    def by_name(self) -> dict[str, Factor]:
        return {factor.name: factor for factor in self.factors}

    @property
    def origin(self) -> dict[str, str]:
        """The combination of all first levels."""
        return {factor.name: factor.keys[0] for factor in self.factors}

    def factor(self, name: str) -> Factor:
        """Raises ``StudyError`` with the nearest name."""
        if name not in self.by_name:
            raise StudyError(unknown_name("factor", name, tuple(self.by_name)))
        return self.by_name[name]

    def network(self, levels: Levels) -> ModelConfig:
        """The network of a combination. Raises ``ConfigError`` where there is none."""
        chosen = self._chosen(levels)
        changes = _merged(level.config for level in chosen)
        recipe = {"stochastic_depth": self.recipe.stochastic_depth}
        recipe |= _merged(level.recipe for level in chosen)
        changes["stochastic_depth"] = recipe["stochastic_depth"]
        return self.start.replace(**changes)

    def training(self, levels: Levels) -> Recipe:
        """The recipe of a combination."""
        return self.recipe.replace(**_merged(level.recipe for level in self._chosen(levels)))

    def problem(self, levels: Levels) -> str | None:
        """Why a combination is not in the space, in one sentence; None where it is."""
        try:
            self.cost(levels)
        except (ConfigError, StudyError) as error:
            return str(error)
        return None

    def cost(self, levels: Levels) -> Cost:
        """Return the cost of a combination's network.

        Raises ``ConfigError`` for an invalid network, ``StudyError`` for one over ``max_gmacs``.
        """
        cost = network_cost(self.network(levels))
        if self.max_gmacs is not None and cost.gmacs > self.max_gmacs:
            raise StudyError(
                f"it costs {cost.gmacs:.1f} GFLOPs, more than the {self.max_gmacs:g} of the space"
            )
        return cost

    def step_levels(self, key: str) -> dict[str, str]:
        """The combination that is step ``key`` of the roadmap, as ``levels_of`` has it.

        In a space of pocket networks, the step's pocket network.
        """
        from roadmap.train.pocket import pocket_config

        roadmap = ROADMAPS[self.roadmap]
        is_small = self.start.width == pocket_config(roadmap.config(roadmap.keys[0])).width
        config = roadmap.config(key)
        try:
            return self.levels_of(pocket_config(config) if is_small else config)
        except StudyError as error:
            raise StudyError(f"step {key} is not in this space: {error}") from None

    def levels_of(self, config: ModelConfig) -> dict[str, str]:
        """The combination whose network is ``config``; what no network shows stays at the start.

        Classes, channels and stochastic depth are those of data and recipe and do not count.
        Raises ``StudyError`` naming the fields for a network that is not in the space.
        """
        found = self.origin
        for factor in self.factors:
            for level in factor.levels:
                if level.config and _has(config, level.config):
                    found[factor.name] = level.key
        there, here = self.network(found), config
        different = [
            name
            for name, pair in differences(there, here).items()
            if name not in ("num_classes", "in_channels", "stochastic_depth")
        ]
        if different:
            values = ", ".join(f"{name} {getattr(config, name)}" for name in different)
            raise StudyError(f"no run was planned with {values}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON's types."""
        return {
            "roadmap": self.roadmap,
            "start": self.start.to_dict(),
            "recipe": asdict(self.recipe),
            "max_gmacs": self.max_gmacs,
            "factors": [
                {
                    "name": factor.name,
                    "title": factor.title,
                    "kind": factor.kind,
                    "scale": factor.scale,
                    "levels": [asdict(level) for level in factor.levels],
                }
                for factor in self.factors
            ],
        }

    def _chosen(self, levels: Levels) -> list[Level]:
        return [factor.level(levels[factor.name]) for factor in self.factors]


class Cost(NamedTuple):
    """``gmacs``: multiply-adds of one image of 224 pixels, in 1e9. ``parameters``: with 1,000
    classes."""

    gmacs: float
    parameters: int


#: Fields that change neither multiply-adds nor parameters: many combinations differ only in these.
_WITHOUT_COST = ("activation", "activations_per_block", "init", "stochastic_depth")
_WITH_COST = tuple(name for name in FIELDS if name not in _WITHOUT_COST)


def network_cost(config: ModelConfig) -> Cost:
    """Return the cost of a network, counted once per set of fields that matter to it."""
    return _counted(tuple(getattr(config, name) for name in _WITH_COST))


@lru_cache(maxsize=1 << 15)
def _counted(values: tuple[Any, ...]) -> Cost:
    macs, parameters = totals(ModelConfig(**dict(zip(_WITH_COST, values, strict=True))), COST_SIZE)
    return Cost(macs / 1e9, parameters)


def _has(config: ModelConfig, fields: Mapping[str, Any]) -> bool:
    return all(getattr(config, name) == value for name, value in fields.items())


def _merged(changes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for change in changes:
        merged |= change
    return merged


# -- the space of a roadmap ------------------------------------------------------------------


def roadmap_space(
    roadmap: Roadmap,
    settings: Sequence[Factor],
    *,
    skip: Sequence[str] = (),
    recipe: Mapping[str, Any] | None = None,
    max_gmacs: float | None = None,
) -> Space:
    """The space over the steps of ``roadmap`` but ``skip``, crossed with ``settings``.

    On a roadmap that changes networks it starts after the last change of the recipe. ``recipe``
    holds changes of the recipe for all runs. Steps that set the same one field to numbers are
    levels of one factor.
    """
    begin = _begin(roadmap)
    start = roadmap.steps[begin]
    factors: dict[tuple[str, ...], Factor] = {}
    for step in roadmap.steps[begin + 1 :]:
        if step.key not in skip:
            _add_step(factors, step, roadmap.config(start.key))
    return Space(
        roadmap=roadmap.name,
        start=roadmap.config(start.key),
        recipe=roadmap.recipe(start.key).replace(**(recipe or {})),
        factors=(*factors.values(), *settings),
        max_gmacs=max_gmacs,
    )


def pocket_space(space: Space) -> Space:
    """``space`` at the size that ``--scale pocket`` trains, for a laptop."""
    from roadmap.train.pocket import pocket_config

    def small(config: Mapping[str, Any]) -> dict[str, Any]:
        sizes = {name: value for name, value in config.items() if name in ("depths", "width")}
        whole = pocket_config(space.start.replace(**sizes))
        return {**config, **{name: getattr(whole, name) for name in sizes}}

    factors = tuple(
        replace(
            factor,
            levels=tuple(replace(level, config=small(level.config)) for level in factor.levels),
        )
        for factor in space.factors
    )
    return replace(space, start=pocket_config(space.start), factors=factors)


def _begin(roadmap: Roadmap) -> int:
    """The place of the step that a space starts from."""
    if not roadmap.changes_networks:
        return 0
    return max(
        (i for i, step in enumerate(roadmap.steps) if step.adopted and step.recipe_changes),
        default=0,
    )


def _add_step(factors: dict[tuple[str, ...], Factor], step: Step, start: ModelConfig) -> None:
    config = {n: v for n, v in step.config_changes.items() if n not in _SEPARATE_FIELDS}
    changed = (*sorted(config), *sorted(step.recipe_changes))
    if not changed:
        return
    level = Level(
        key=ON, title=step.title, config=config, recipe=dict(step.recipe_changes), step=step.key
    )
    before = factors.get(changed)
    several = _with_level(before, changed[0], level, start) if before else None
    if several and several.scale:
        factors[changed] = several
    else:
        off = Level(key=OFF, title=f"without {step.title}")
        place = (*changed, step.key) if before else changed
        factors[place] = Factor(name=step.key, title=step.title, levels=(off, level))


def _with_level(factor: Factor, name: str, level: Level, start: ModelConfig) -> Factor:
    """``factor``, which sets field ``name`` alone, with one more level: ordered if numbers."""
    begin = getattr(start, name, None)
    off, *others = factor.levels
    values: list[Any] = [begin, *(one.config.get(name) for one in (*others, level))]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    levels = tuple(
        replace(one, key=str(value), value=float(value) if numbers else None)
        for one, value in zip((off, *others, level), values, strict=True)
    )
    return replace(
        factor,
        name=name,
        title=name.replace("_", " ").capitalize(),
        levels=levels,
        scale="linear" if numbers else None,
    )


# -- reading ---------------------------------------------------------------------------------


def space_from_dict(found: Any) -> Space:
    """A space from ``Space.to_dict``'s form. Raises ``StudyError`` for anything else."""
    try:
        roadmap = found["roadmap"]
        if roadmap not in ROADMAPS:
            raise StudyError(unknown_name("roadmap", str(roadmap)[:60], tuple(ROADMAPS)))
        space = Space(
            roadmap=roadmap,
            start=ModelConfig.from_dict(found["start"]),
            recipe=_recipe(found["recipe"]),
            factors=tuple(_factor(one) for one in found["factors"]),
            max_gmacs=found["max_gmacs"],
        )
        _check(space)
    except StudyError:
        raise
    except ConfigError as error:
        raise StudyError(f"the space's start is not a network: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"the space is damaged at {str(error)[:60]}") from None
    return space


def _recipe(found: Mapping[str, Any]) -> Recipe:
    known = {one.name for one in fields(Recipe)}
    unknown = sorted(set(found) - known)
    if unknown:
        raise StudyError(f"the recipe has no field {unknown[0][:60]!r}")
    return Recipe(**_tuples(found))


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists alone."""
    return {n: tuple(v) if isinstance(v, list) else v for n, v in fields.items()}


def _level(found: Mapping[str, Any]) -> Level:
    changes = {kind: _tuples(found[kind]) for kind in ("config", "recipe")}
    return Level(**{**found, **changes})


def _factor(found: Mapping[str, Any]) -> Factor:
    levels = tuple(_level(level) for level in found["levels"])
    factor = Factor(**{**found, "levels": levels})
    name = str(factor.name)[:60]
    if len(levels) < 2 or len(set(factor.keys)) < len(levels):
        raise StudyError(f"factor {name} needs two levels or more, each with a key of its own")
    if factor.scale not in (None, "log2", "linear"):
        raise StudyError(f"factor {name} has scale {str(factor.scale)[:60]!r}; use log2 or linear")
    if factor.scale is None and len(levels) > 2:
        raise StudyError(f"factor {name} has {len(levels)} levels that are no quantities; use two")
    if factor.scale is not None:
        given = [level.value for level in levels]
        values = [v for v in given if isinstance(v, int | float) and math.isfinite(v)]
        if len(values) < len(given):
            raise StudyError(f"factor {name} has a level without a value")
        if len(set(values)) < len(values) or (factor.scale == "log2" and min(values) <= 0):
            raise StudyError(f"factor {name} has two equal values, or one that has no logarithm")
    return factor


def _check(space: Space) -> None:
    names = [factor.name for factor in space.factors]
    if len(set(names)) < len(names) or not names:
        raise StudyError("the space needs factors, each with a name of its own")
    if space.max_gmacs is not None and not space.max_gmacs > 0:
        raise StudyError(f"max_gmacs is {space.max_gmacs}; use a positive number")
    for factor in space.factors:
        for level in factor.levels:
            space.recipe.replace(**level.recipe)
            unknown = sorted(set(level.config) - set(space.start.to_dict()))
            if unknown:
                raise StudyError(f"factor {factor.name}: the config has no field {unknown[0]!r}")
    problem = space.problem(space.origin)
    if problem:
        raise StudyError(f"the start of the space is not valid: {problem}")
