"""The runs of a sweep, and their progress as read from their folders. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.config import ModelConfig
from models.text import unknown_name
from roadmap.errors import RefusedError
from roadmap.recipes import Recipe
from roadmap.runs.metrics import METRICS, read_columns
from roadmap.runs.record import RecordError, read_record
from roadmap.steps import ROADMAPS
from roadmap.study.design import Design
from roadmap.train.settings import (
    Settings,
    check_seed,
    choose_recipe,
    trained_config,
)


@dataclass(frozen=True)
class PlannedRun:
    """One run: its settings, including the folder, and notes on derived values."""

    settings: Settings
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        assert self.settings.output is not None
        return self.settings.output

    @property
    def name(self) -> str:
        return self.folder.name


@dataclass(frozen=True)
class Progress:
    """The progress in a run's folder.

    ``status`` is that of run.json [default: ``waiting``]; ``top1`` (percent) and
    ``epoch_seconds`` are from the last epoch.
    """

    status: str = "waiting"
    epochs: int = 0
    top1: float | None = None
    epoch_seconds: float | None = None
    reason: str = ""
    #: Time of its last completed epoch, in seconds since 1970.
    written: float = 0.0


def plan_runs(
    roadmap: str,
    steps: Sequence[str],
    skip: Sequence[str],
    seeds: Sequence[int],
    root: Path,
    *,
    recipe: str | None = None,
    changes: Mapping[str, Any] | None = None,
    image_size: int | None = None,
    **settings: Any,
) -> list[PlannedRun]:
    """Return one run per step and seed: all steps with the first seed, then the next.

    Every step thus has an early result, and other seeds reuse the compiler's cache. ``settings``
    are other fields of ``Settings``. Raises ``RefusedError`` for invalid names or values.
    """
    keys = _chosen(roadmap, steps, skip)
    for seed in seeds:
        check_seed(seed, "--seeds")
    repeated = sorted({seed for seed in seeds if list(seeds).count(seed) > 1})
    if repeated:
        raise RefusedError(f"--seeds has {repeated[0]} twice; use each seed once")
    scale = settings.get("scale", "full")
    runs = []
    for key in keys:
        chosen, notes = choose_recipe(
            roadmap, key, recipe, changes=changes, image_size=image_size, scale=scale
        )
        one = Settings(roadmap=roadmap, step=key, recipe=chosen, recipe_name=recipe, **settings)
        runs.append((one, tuple(notes)))
    return [
        PlannedRun(_below(root, replace(one, seed=seed)), notes)
        for seed in seeds
        for one, notes in runs
    ]


def design_runs(design: Design, root: Path, **settings: Any) -> list[PlannedRun]:
    """Return one run per point of ``design``, in its order.

    ``settings`` are other fields of ``Settings``.
    """
    space = design.space
    runs = (
        Settings(
            roadmap=space.roadmap,
            step=None,
            network=space.network(point.levels),
            point={
                "design": design.name,
                "key": point.key,
                "role": point.role,
                "levels": dict(point.levels),
            },
            recipe=space.training(point.levels),
            seed=point.seed,
            **settings,
        )
        for point in design.points
    )
    return [PlannedRun(_below(root, one)) for one in runs]


def _below(root: Path, settings: Settings) -> Settings:
    return replace(settings, output=root / settings.folder_name)


def _chosen(roadmap: str, steps: Sequence[str], skip: Sequence[str]) -> list[str]:
    if roadmap not in ROADMAPS:
        raise RefusedError(unknown_name("roadmap", roadmap, tuple(ROADMAPS)))
    known = ROADMAPS[roadmap].keys
    for key in (*steps, *skip):
        if key not in known:
            raise RefusedError(unknown_name(f"step of {roadmap}", key, known))
    keys = [key for key in known if (not steps or key in steps) and key not in skip]
    if not keys:
        raise RefusedError("--step and --skip together leave no step: omit one of them")
    return keys


def notes_of(runs: Iterable[PlannedRun]) -> list[str]:
    """Return the notes on derived values, each once."""
    runs = list(runs)
    notes = [note for run in runs for note in run.notes]
    return list(dict.fromkeys([*notes, *_undone(runs)]))


def _undone(runs: Sequence[PlannedRun]) -> Iterable[str]:
    """Yield a note for each step whose change is overridden by a setting for all steps."""
    settings = {run.settings.step: run.settings for run in runs if run.settings.step}
    for key, own in settings.items():
        previous = ROADMAPS[own.roadmap].previous(key)
        before = settings.get(previous.key) if previous else None
        if before and _trained(own) == _trained(before):
            yield (
                f"{key} is the same as {before.step} here, because an option sets for all steps "
                "what it changes"
            )


def _trained(settings: Settings) -> tuple[ModelConfig, Recipe]:
    return trained_config(settings), settings.recipe


def read_progress(folder: Path) -> Progress:
    """Return the progress in ``folder``; ``waiting`` if it cannot be read."""
    try:
        run = read_record(folder)
    except (OSError, RecordError):
        run = None
    if run is None:
        return Progress()
    status, reason = run.status, run.reason or ""
    try:
        columns = read_columns(folder / METRICS)
        written = (folder / METRICS).stat().st_mtime
    except (OSError, ValueError):
        return Progress(status, reason=reason)
    epochs = len(columns["epoch"])
    if epochs == 0:
        return Progress(status, reason=reason)
    return Progress(status, epochs, columns["top1"][-1], columns["seconds"][-1], reason, written)
