"""Select the runs to analyze, and check that they were trained with the same settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.text import existing, said
from roadmap.definition import Roadmap
from roadmap.runs import StepRun, judged_by
from roadmap.tables.results import ResultsError

#: Fields that must be equal in all runs, besides the recipe.
SHARED = ("data_sha256", "classes", "val_images", "scale", "precision")
#: Recipe fields that must be equal even if a step has its own recipe.
SHARED_RECIPE = ("epochs", "train_size", "test_size")


def finished_runs(runs: Sequence[StepRun], data: str, roadmap: str) -> tuple[StepRun, ...]:
    """Return the finished runs of ``roadmap`` on ``data``; raises ``ResultsError`` if none."""
    known = sorted({run.data for run in runs})
    if data not in known:
        raise ResultsError(
            f"no run was trained on data named {said(data)}.{existing(data, tuple(known))}"
        )
    chosen = tuple(
        run for run in runs if run.finished and (run.data, run.roadmap) == (data, roadmap)
    )
    if not chosen:
        raise ResultsError(f"no run of {roadmap} on {data} has finished")
    return chosen


def check_alike(roadmap: Roadmap, runs: Sequence[StepRun]) -> None:
    """Check that the settings of the runs are comparable.

    All runs must agree in ``SHARED`` and ``SHARED_RECIPE``; steps with the same recipe must agree
    in all of it. Raises ``ResultsError`` naming the first setting that differs.
    """
    # A roadmap that only changes recipes may also change epochs and image sizes.
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
            f"runs with different settings cannot be compared: {name} is {said(there)} in "
            f"{first.path.name} and {said(here)} in {run.path.name}. Move runs with different "
            "settings to separate folders"
        )


def _score(roadmap: Roadmap, run: StepRun) -> float:
    name = judged_by(roadmap, run.step)
    score = run.scores.get(name)
    if score is None:
        raise ResultsError(
            f"{run.path.name} has no {name}, the score that step {run.step} is judged by: it was "
            "trained without weight averaging. Train it again with the step's own recipe"
        )
    return float(score)


def scores_by_step(roadmap: Roadmap, runs: Sequence[StepRun]) -> dict[str, dict[int, float]]:
    """Return top-1 (percent) by step and seed.

    Raises ``ResultsError`` if two runs have the same step and seed, or if a run lacks the score
    that its step is judged by.
    """
    scores: dict[str, dict[int, float]] = {}
    places: dict[tuple[str, int], StepRun] = {}
    for run in runs:
        other = places.setdefault((run.step, run.seed), run)
        if other is not run:
            raise ResultsError(
                f"{other.path.name} and {run.path.name} are both runs of step {run.step} with seed "
                f"{run.seed}; move one of them to another folder"
            )
        scores.setdefault(run.step, {})[run.seed] = _score(roadmap, run)
    return scores
