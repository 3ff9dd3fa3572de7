"""Which runs an analysis takes, and whether they were trained alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.text import said
from roadmap.runs import StepRun, judged_by
from roadmap.steps import Roadmap, existing
from roadmap.tables.results import ResultsError

#: What all runs of an analysis share, beside the recipe.
SHARED = ("data_sha256", "classes", "val_images", "scale", "precision")
#: Of the recipe, what even steps with recipes of their own share.
SHARED_RECIPE = ("epochs", "train_size", "test_size")


def finished_runs(runs: Sequence[StepRun], data: str, roadmap: str) -> tuple[StepRun, ...]:
    """The finished ones of ``roadmap`` on ``data``; raises ``ResultsError`` for none."""
    known = sorted({run.data for run in runs})
    if data not in known:
        raise ResultsError(f"no run is on data named {said(data)}.{existing(data, tuple(known))}")
    chosen = tuple(
        run for run in runs if run.finished and (run.data, run.roadmap) == (data, roadmap)
    )
    if not chosen:
        raise ResultsError(f"no run of {roadmap} on {data} is finished")
    return chosen


def check_alike(roadmap: Roadmap, runs: Sequence[StepRun]) -> None:
    """Compare every run with the first one, and with the first of the same recipe of a step.

    Raises ``ResultsError`` that names the setting in which two differ.
    """
    # Where only recipes change, so may epochs and image sizes: they are what is studied.
    shared_recipe = SHARED_RECIPE if roadmap.changes_networks else ()
    firsts: dict[Any, StepRun] = {}
    for run in runs:
        for name in SHARED:
            _check_same(name, runs[0], getattr(runs[0], name), run, getattr(run, name))
        for name in shared_recipe:
            _check_same(f"recipe.{name}", runs[0], runs[0].recipe[name], run, run.recipe[name])
        first = firsts.setdefault(roadmap.recipe(run.step), run)
        for name in sorted({*first.recipe, *run.recipe}):
            values = first.recipe.get(name), run.recipe.get(name)
            _check_same(f"recipe.{name}", first, values[0], run, values[1])


def _check_same(name: str, first: StepRun, there: Any, run: StepRun, here: Any) -> None:
    if there != here:
        raise ResultsError(
            f"runs of different settings cannot be compared: {name} is {said(there)} in "
            f"{first.path.name} and {said(here)} in {run.path.name}. Keep the runs of each setting "
            "in a folder of their own"
        )


def _score(roadmap: Roadmap, run: StepRun) -> float:
    name = judged_by(roadmap, run.step)
    score = run.scores.get(name)
    if score is None:
        raise ResultsError(
            f"{run.path.name} has no {name}, by which {run.step} is judged: it was trained "
            "without a weight average"
        )
    return float(score)


def scores_by_step(roadmap: Roadmap, runs: Sequence[StepRun]) -> dict[str, dict[int, float]]:
    """Top-1 by step and seed. Raises ``ResultsError`` for two runs of one step and seed, and for
    a run without the average of its weights that its step is judged by."""
    scores: dict[str, dict[int, float]] = {}
    places: dict[tuple[str, int], StepRun] = {}
    for run in runs:
        other = places.setdefault((run.step, run.seed), run)
        if other is not run:
            raise ResultsError(
                f"{other.path.name} and {run.path.name} are both {run.step} with seed {run.seed}: "
                "move one away"
            )
        scores.setdefault(run.step, {})[run.seed] = _score(roadmap, run)
    return scores
