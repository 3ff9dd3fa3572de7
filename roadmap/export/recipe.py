"""What a run changed of its recipe, and the command that trains it again."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from roadmap.runs import StepRun
from roadmap.train.settings import Scale, choose_recipe

#: A field that ``train`` scales with another where it is not given itself.
FOLLOWS = {"batch_size": "lr", "epochs": "warmup_epochs"}
#: Beginnings of data sets' names that ``--data`` takes as they are.
NAMED = ("torch/", "hfds/")


def recipe_changes(run: StepRun, scale: Scale = "full") -> dict[str, tuple[Any, Any]]:
    """Fields in which the run's recipe differs from the one it began with, by ``scale``.

    As ``{field: (there, in the run)}``. That is the recipe that ``run.recipe_name`` names, or else
    the step's own. Raises ``RefusedError`` for a recipe that is not known.
    """
    begun = asdict(choose_recipe(run.roadmap, run.step, run.recipe_name, scale=scale)[0])
    begun = {name: list(v) if isinstance(v, tuple) else v for name, v in begun.items()}
    return {
        name: (begun[name], value)
        for name, value in run.recipe.items()
        if name in begun and value != begun[name]
    }


def train_command(run: StepRun) -> str:
    """``python -m roadmap train`` with the options of ``run``, but for its folder.

    Data that is known by its name alone is in a folder of that name: ``--data PATH/NAME``.
    """
    scale: Scale = "pocket" if run.scale == "pocket" else "full"
    changed = {name: value for name, (_, value) in recipe_changes(run, scale).items()}
    for name, follower in FOLLOWS.items():
        if name in changed and follower in run.recipe:
            changed[follower] = run.recipe[follower]
    options = {"roadmap": run.roadmap, "step": run.step, "seed": run.seed, "scale": scale}
    if run.recipe_name:
        options["recipe"] = run.recipe_name
    if run.data != "digits":  # of scikit-learn, which train takes without a name
        options["data"] = run.data if run.data.startswith(NAMED) else f"PATH/{run.data}"
    options |= {"precision": run.precision, **changed}
    words = [word for name, value in options.items() for word in (_option(name), _text(value))]
    return shlex.join(["python", "-m", "roadmap", "train", *words, *["--compile"] * run.compiled])


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
