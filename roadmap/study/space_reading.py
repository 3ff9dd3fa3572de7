"""Read a space from a design file; hostile or damaged content is refused here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from models.config import ConfigError, ModelConfig
from models.text import unknown_name
from roadmap.recipes import Recipe
from roadmap.steps import ROADMAPS
from roadmap.study.space import Factor, Level, Space, StudyError


def space_from_dict(found: Any) -> Space:
    """Return the space of ``Space.to_dict``. Raises ``StudyError`` if it is invalid."""
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
        raise StudyError(f"the start of the space is not a valid network: {error}") from None
    except KeyError as error:
        raise StudyError(f"the space has no field {str(error)[:60]}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"the space is damaged: {str(error)[:60]}") from None
    return space


def _recipe(found: Mapping[str, Any]) -> Recipe:
    known = {one.name for one in fields(Recipe)}
    unknown = sorted(set(found) - known)
    if unknown:
        raise StudyError(f"the recipe has no field {unknown[0][:60]!r}")
    return Recipe(**_tuples(found))


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the lists of JSON to tuples."""
    return {n: tuple(v) if isinstance(v, list) else v for n, v in fields.items()}


def _level(found: Mapping[str, Any]) -> Level:
    changes = {kind: _tuples(found[kind]) for kind in ("config", "recipe")}
    return Level(**{**found, **changes})


def _factor(found: Mapping[str, Any]) -> Factor:
    levels = tuple(_level(level) for level in found["levels"])
    factor = Factor(**{**found, "levels": levels})
    name = str(factor.name)[:60]
    if len(levels) < 2 or len(set(factor.keys)) < len(levels):
        raise StudyError(f"factor {name} needs at least two levels with different keys")
    if factor.scale not in (None, "log2", "linear"):
        raise StudyError(f"factor {name} has scale {str(factor.scale)[:60]!r}; use log2 or linear")
    if factor.scale is None and len(levels) > 2:
        raise StudyError(
            f"factor {name} has {len(levels)} levels and no scale; use two levels or set scale"
        )
    if factor.scale is not None:
        given = [level.value for level in levels]
        values = [v for v in given if isinstance(v, int | float) and math.isfinite(v)]
        if len(values) < len(given):
            raise StudyError(f"factor {name} has a level without a value; use finite numbers")
        if len(set(values)) < len(values) or (factor.scale == "log2" and min(values) <= 0):
            raise StudyError(
                f"factor {name} has equal values, or non-positive values with scale log2"
            )
    return factor


def _check(space: Space) -> None:
    names = [factor.name for factor in space.factors]
    if len(set(names)) < len(names) or not names:
        raise StudyError("the space needs at least one factor, and different names for all factors")
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
