"""A run's changes to its recipe, and the command that trains it again."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from roadmap.runs import StepRun
from roadmap.train.settings import Scale, choose_recipe

#: Fields, and the field that ``train`` scales with each unless it is given.
FOLLOWS = {"batch_size": "lr", "epochs": "warmup_epochs"}
#: Prefixes of data set names that ``--data`` accepts.
NAMED = ("torch/", "hfds/")


def changed_fields(run: StepRun, scale: Scale = "full") -> dict[str, tuple[Any, Any]]:
    """Return the changes to the run's recipe as ``{field: (original, in the run)}``.

    The original is the recipe ``run.recipe_name`` [default: the step's] at ``scale``. Raises
    ``RefusedError`` if the recipe is unknown.
    """
    begun = asdict(choose_recipe(run.roadmap, run.step, run.recipe_name, scale=scale)[0])
    begun = {name: list(v) if isinstance(v, tuple) else v for name, v in begun.items()}
    return {
        name: (begun[name], value)
        for name, value in run.recipe.items()
        if name in begun and value != begun[name]
    }


def train_command(run: StepRun) -> str:
    """Return the ``python -m roadmap train`` command of ``run``, without ``--output``.

    If only the name of the data is known, the command has ``--data PATH/NAME``.
    """
    scale: Scale = "pocket" if run.scale == "pocket" else "full"
    changed = {name: value for name, (_, value) in changed_fields(run, scale).items()}
    for name, follower in FOLLOWS.items():
        if name in changed and follower in run.recipe:
            changed[follower] = run.recipe[follower]
    options = {"roadmap": run.roadmap, "step": run.step, "seed": run.seed, "scale": scale}
    if run.recipe_name:
        options["recipe"] = run.recipe_name
    if run.data != "digits":  # the default of train
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
