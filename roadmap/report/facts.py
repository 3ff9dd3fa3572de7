"""What was run: data, recipes, seeds, devices and versions, one line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from roadmap.analysis.ablation import Ablation
from roadmap.recipes import OPTIMIZERS
from roadmap.runs import Run, StepRun
from roadmap.steps import ROADMAPS
from roadmap.text import counted, data_title, duration

#: Up to this many recipes are listed one by one.
MOST_RECIPES = 3


def facts(ablation: Ablation) -> list[tuple[str, str]]:
    """Return names and values, in reading order."""
    runs = ablation.runs
    first = runs[0]
    return [
        ("Runs", _runs(ablation)),
        (
            "Data",
            f"{data_title(first.data)}: {first.classes} classes, {first.train_images:,} training "
            f"and {first.val_images:,} validation images",
        ),
        ("Recipe", _recipes(runs)),
        ("Device", _each(f"{run.machine}, {run.precision}" for run in runs)),
        ("Versions", _versions(runs)),
        ("Training, all runs", duration(sum(run.seconds for run in runs))),
    ]


def dates(runs: Iterable[Run]) -> str:
    """Return the dates on which runs ended."""
    days = sorted({run.date for run in runs})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _runs(ablation: Ablation) -> str:
    seeds = sorted({run.seed for run in ablation.runs})
    steps, every = len(ablation.steps), len(ablation.roadmap.steps)
    return (
        f"{len(ablation.runs)} finished, {steps} of {every} steps, "
        f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
    )


def _recipes(runs: Sequence[StepRun]) -> str:
    """Describe length and image size of training, then each recipe with its steps."""
    recipes: dict[str, list[StepRun]] = {}
    for run in runs:
        recipes.setdefault(json.dumps(run.recipe, sort_keys=True), []).append(run)
    scale = "" if runs[0].scale == "full" else f", scale {runs[0].scale}"
    common = _each(_length(run.recipe) for run in runs) + scale
    if len(recipes) == 1:
        return f"{common}; {_recipe(runs[0].recipe)}"
    if len(recipes) > MOST_RECIPES:
        return f"{common}; a different recipe for each step"
    most = max(recipes.values(), key=len)
    listed = [
        f"{_recipe(alike[0].recipe)} ({_steps(alike, alike is most)})" for alike in recipes.values()
    ]
    return f"{common}; {'; '.join(listed)}"


def _steps(runs: Sequence[StepRun], are_most: bool) -> str:
    return (
        "the other steps"
        if are_most
        else _each(ROADMAPS[run.roadmap].step(run.step).title for run in runs)
    )


def _length(recipe: Mapping[str, Any]) -> str:
    sizes = recipe["train_size"], recipe["test_size"]
    tested = "" if sizes[0] == sizes[1] else f", tested at {sizes[1]}"
    return f"{counted(recipe['epochs'], 'epoch')} at {sizes[0]} pixels{tested}"


def _recipe(recipe: Mapping[str, Any]) -> str:
    key = recipe["optimizer"]
    title = OPTIMIZERS[key].title if key in OPTIMIZERS else key
    return f"{title}, learning rate {recipe['lr']:g}, batch {recipe['batch_size']}"


def _versions(runs: Sequence[Run]) -> str:
    """List each package with the versions used."""
    used: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, version in run.versions.items():
            used.setdefault(name, {})[str(version)] = None
    return ", ".join(f"{name} {' and '.join(versions)}" for name, versions in used.items())


def _each(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))
