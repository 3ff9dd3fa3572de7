"""A space of networks and recipes: factors with levels, each a small change.

The factors of a roadmap are derived from its steps, so a new step becomes a factor automatically.
A combination of levels is valid if ``ModelConfig`` accepts it and its cost is within the limit.
Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from models.config import FIELDS, ConfigError, ModelConfig, differences
from models.text import existing, unknown_name
from roadmap.definition import Roadmap, Step
from roadmap.measure.complexity import totals
from roadmap.recipes import Recipe
from roadmap.steps import ROADMAPS

#: A combination: the chosen level key by factor name.
Levels = Mapping[str, str]
OFF, ON = "off", "on"
#: Side of the square image, in pixels, for which costs are counted.
COST_SIZE = 224
#: Config fields that are separate factors, not part of a step's change.
_SEPARATE_FIELDS = ("init", "layer_scale")
#: Config fields that pocket networks change.
_SIZES = ("depths", "width")
#: Config fields that affect neither the cost of a network nor whether it is valid; many
#: combinations differ only in these.
_WITHOUT_COST = ("activation", "activations_per_block", "init", "stochastic_depth")
#: Names of the values of the config's ``init``.
_INITS = {"default": "PyTorch's default", "kaiming": "Kaiming", "trunc_normal": "truncated normal"}


class StudyError(ValueError):
    """An invalid space, design or model; the message is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level of a factor, with its changes to the config and the recipe.

    ``value`` is its number if the factor is quantitative. ``step`` is the key of the roadmap step
    that it comes from, if any.
    """

    key: str
    title: str
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)
    value: float | None = None
    step: str | None = None


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A choice that varies between runs; the first level is the start.

    ``kind`` is ``change`` for a step of the roadmap and ``setting`` for a training setting.
    ``scale`` is ``log2`` or ``linear`` for a quantitative factor, None for a categorical one.
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
        """The values of the levels of a quantitative factor, in order."""
        return tuple(level.value for level in self.levels if level.value is not None)

    @property
    def changes_layers(self) -> bool:
        """Whether any level changes the network itself, not only its first weights or training."""
        return any(set(level.config) - {"init"} for level in self.levels)

    @property
    def changes_cost(self) -> bool:
        """Whether levels can differ in their networks' cost, or in which networks are valid."""
        return any(set(level.config).difference(_WITHOUT_COST) for level in self.levels)

    def level(self, key: str) -> Level:
        """Return the level ``key``. Raises ``StudyError`` that lists the levels."""
        if isinstance(key, str) and key in self._by_key:
            return self._by_key[key]
        raise StudyError(f"{self.name} has no level {key!r}.{existing(str(key), self.keys)}")

    def coded(self, key: str) -> float:
        """Return the level as a number from -1 to 1: by value, or by order if categorical."""
        place = self.keys.index(self.level(key).key)
        if self.scale is None:
            return 2.0 * place / (len(self.levels) - 1) - 1.0
        return self.coded_value(self.values[place])

    def coded_value(self, value: float) -> float:
        """Return any value of a quantitative factor on the scale of ``coded``."""
        number = math.log2 if self.scale == "log2" else float
        values = [number(each) for each in self.values]
        low, high = min(values), max(values)
        return 2.0 * (number(value) - low) / (high - low) - 1.0


@dataclass(frozen=True)
class Space:
    """All combinations of ``factors``, as changes to the config ``start`` and to ``recipe``.

    ``max_gmacs`` limits the cost of a network, in GFLOPs (1e9 multiply-adds) at 224 pixels.
    """

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
        """The combination of the first levels of all factors."""
        return {factor.name: factor.keys[0] for factor in self.factors}

    @property
    def network_factors(self) -> set[str]:
        """The names of the factors that change the network."""
        return {one.name for one in self.factors if any(level.config for level in one.levels)}

    @property
    def is_pocket(self) -> bool:
        """Whether the networks are pocket networks (see ``pocket_space``)."""
        from roadmap.train.pocket import pocket_config

        roadmap = ROADMAPS[self.roadmap]
        return self.start.width == pocket_config(roadmap.config(roadmap.keys[0])).width

    def factor(self, name: str) -> Factor:
        """Return the factor ``name``. Raises ``StudyError`` with the nearest name."""
        if name not in self.by_name:
            raise StudyError(unknown_name("factor", name, tuple(self.by_name)))
        return self.by_name[name]

    def network(self, levels: Levels) -> ModelConfig:
        """Return the config of a combination. Raises ``ConfigError`` if it is invalid."""
        changes = merged(level.config for level in self._chosen(levels))
        # Not by way of ``training``: designs build thousands of networks.
        recipe = merged(level.recipe for level in self._chosen(levels))
        changes["stochastic_depth"] = recipe.get("stochastic_depth", self.recipe.stochastic_depth)
        return self.start.replace(**changes)

    def training(self, levels: Levels) -> Recipe:
        """Return the recipe of a combination."""
        return self.recipe.replace(**merged(level.recipe for level in self._chosen(levels)))

    def problem(self, levels: Levels) -> str | None:
        """Return why a combination is not in the space, in one sentence; None if it is."""
        try:
            self.cost(levels)
        except (ConfigError, StudyError) as error:
            return str(error)
        return None

    def cost(self, levels: Levels) -> Cost:
        """Return the cost of a combination's network.

        Raises ``ConfigError`` for an invalid network, ``StudyError`` for one over ``max_gmacs``.
        """
        return self.checked_cost(self.network(levels))

    def checked_cost(self, config: ModelConfig) -> Cost:
        """Return the cost of a network. Raises ``StudyError`` for one over ``max_gmacs``."""
        cost = network_cost(config)
        if self.max_gmacs is not None and cost.gmacs > self.max_gmacs:
            raise StudyError(
                f"it costs {cost.gmacs:.1f} GFLOPs; the limit of the space is {self.max_gmacs:g}"
            )
        return cost

    def step_levels(self, key: str) -> dict[str, str]:
        """Return the combination for the network of step ``key`` of the roadmap.

        In a space of pocket networks, this is the step's pocket network. Raises ``StudyError`` if
        it is not in the space.
        """
        from roadmap.train.pocket import pocket_config

        config = ROADMAPS[self.roadmap].config(key)
        try:
            return self.levels_of(pocket_config(config) if self.is_pocket else config)
        except StudyError as error:
            raise StudyError(f"step {key} is not in this space: {error}") from None

    def levels_of(self, config: ModelConfig) -> dict[str, str]:
        """Return the combination whose network is ``config``, with recipe factors at the start.

        Ignores classes, input channels and stochastic depth, which depend on data and recipe.
        Raises ``StudyError`` naming the choices that differ if the network is not in the space.
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
            choices = ", ".join(self._choice(name, getattr(config, name)) for name in different)
            sized = self.is_pocket and not set(_SIZES).isdisjoint(different)
            small = "it trained pocket networks; " if sized else ""
            raise StudyError(f"{small}no run was planned with {choices}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the space as JSON types (see ``roadmap.study.space_reading``)."""
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

    def _choice(self, name: str, value: Any) -> str:
        """Describe a field's value: by the title of the step that only sets this, if any.

        Sizes are always numbers, since those of pocket networks differ from the steps'.
        """
        for step in ROADMAPS[self.roadmap].steps:
            if name not in _SIZES and dict(step.config_changes) == {name: value}:
                return step.title
        if name == "init":
            return f"{_INITS[value]} initialization"
        return f"{name.replace('_', ' ')} {value}"

    def _chosen(self, levels: Levels) -> list[Level]:
        return [factor.level(levels[factor.name]) for factor in self.factors]


class Cost(NamedTuple):
    """The cost of a network.

    ``gmacs`` are GFLOPs: multiply-adds in 1e9, per image of 224 pixels.
    """

    gmacs: float
    parameters: int


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


def merged(changes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return all ``changes`` in one; of the same field, the last."""
    found: dict[str, Any] = {}
    for change in changes:
        found |= change
    return found


# -- the space of a roadmap ------------------------------------------------------------------


def roadmap_space(
    roadmap: Roadmap,
    settings: Sequence[Factor],
    *,
    skip: Sequence[str] = (),
    recipe: Mapping[str, Any] | None = None,
    max_gmacs: float | None = None,
) -> Space:
    """Return the space of the steps of ``roadmap`` except ``skip``, combined with ``settings``.

    On a roadmap that changes networks, the space starts after the last change of the recipe.
    ``recipe`` changes the recipe of all runs. Steps that only set the same field to numbers become
    levels of one factor. ``max_gmacs`` is as in ``Space``.
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
    """Return ``space`` with pocket networks, as trained by ``--scale pocket``."""
    from roadmap.train.pocket import pocket_config

    def small(config: Mapping[str, Any]) -> dict[str, Any]:
        sizes = {name: value for name, value in config.items() if name in _SIZES}
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
    """Return the index of the step that the space starts from."""
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
    """Return ``factor``, which only sets field ``name``, with one more level.

    It is quantitative if all values are numbers.
    """
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
