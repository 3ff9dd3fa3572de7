"""A run's changes to its recipe."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from roadmap.runs import StepRun
from roadmap.train.settings import unchanged_recipe


def changed_fields(run: StepRun) -> dict[str, tuple[Any, Any]]:
    """Return the changes to the run's recipe as ``{field: (original, in the run)}``.

    The original is the recipe ``run.recipe_name`` [default: the step's] at full scale. Raises
    ``RefusedError`` if the recipe is unknown.
    """
    recipe = unchanged_recipe(run.roadmap, run.step, run.recipe_name, "full")
    original = json.loads(json.dumps(asdict(recipe)))
    return {
        name: (original[name], value)
        for name, value in run.recipe.items()
        if name in original and value != original[name]
    }
