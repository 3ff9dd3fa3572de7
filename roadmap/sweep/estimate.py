"""Estimates before a sweep starts: GPU hours from measured speeds, and disk space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import median

from models.config import ModelConfig
from roadmap.recipes import OPTIMIZERS
from roadmap.steps import ROADMAPS
from roadmap.sweep.plan import PlannedRun, read_progress
from roadmap.tables.results import ResultsError, read_rows, timed_network
from roadmap.train.settings import Settings, trained_config

#: Device to estimate for, besides this machine's.
REFERENCE_DEVICE = "NVIDIA H200"
MEASURED_SIZE = 224
BYTES = 4  # per float32 number
KEPT_CHECKPOINTS = 2


@dataclass(frozen=True)
class Hours:
    """Hours of the runs with measured speeds; ``unknown`` has the steps of the other runs."""

    known: float
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class SweepCost:
    """``hours`` on one device, by device name; ``disk`` in bytes, ``kept`` without checkpoints."""

    runs: int
    finished: int
    hours: dict[str, Hours]
    disk: int
    kept: int


def estimate(runs: Sequence[PlannedRun], device_name: str, train_images: int) -> SweepCost:
    """Estimate the cost of the unfinished runs on ``device_name`` and ``REFERENCE_DEVICE``.

    ``train_images`` is the number of training images.
    """
    waiting = [run for run in runs if read_progress(run.folder).status != "finished"]
    disk = kept = 0
    for run in waiting:
        weights = _parameters(run) * BYTES
        recipe = run.settings.recipe
        average = recipe.ema_decay is not None
        kept += weights * (1 + average)
        kept_for_each = 1 + average + OPTIMIZERS[recipe.optimizer].moments
        disk += weights * kept_for_each * KEPT_CHECKPOINTS
    return SweepCost(
        runs=len(runs),
        finished=len(runs) - len(waiting),
        hours={
            device: hours
            for device in dict.fromkeys((device_name, REFERENCE_DEVICE))
            if (hours := _hours(waiting, device, train_images)) is not None
        },
        disk=disk + kept,
        kept=kept,
    )


def _parameters(run: PlannedRun) -> int:
    from roadmap.measure.complexity import count

    return count(trained_config(run.settings), run.settings.recipe.train_size).parameters


def _hours(runs: Sequence[PlannedRun], device_name: str, train_images: int) -> Hours | None:
    """Return the hours of ``runs``, or None if no speed is known."""
    speeds = [(run.settings, _speed(run, device_name)) for run in runs]
    seconds = [train_images * run.recipe.epochs / speed for run, speed in speeds if speed]
    unknown = dict.fromkeys(run.step or run.subject for run, speed in speeds if not speed)
    return Hours(sum(seconds) / 3600, tuple(unknown)) if seconds or not runs else None


def _speed(run: PlannedRun, device_name: str) -> float | None:
    """Return the fastest measured images/s, scaled by the number of pixels.

    Measurements of compiled networks only count if the run is compiled.
    """
    settings = run.settings
    if settings.scale != "full":
        return None
    if settings.network is not None:
        return _speed_of_network(settings, device_name)
    name = timed_network(settings.roadmap, settings.step)
    size = settings.recipe.train_size
    return max(
        (
            float(row["images_per_s"]) * (int(row["image_size"]) / size) ** 2
            for row in _training_speeds()
            if (row["source"], row["name"]) == name
            and row["device_name"] == device_name
            and (settings.compiled or row["compiled"] == "False")
        ),
        default=None,
    )


def _speed_of_network(settings: Settings, device_name: str) -> float | None:
    """Estimate the images/s of an unmeasured network from its activations, which dominate on a GPU.

    The result is the median over the roadmap's measured steps.
    """
    rates = [
        float(row["images_per_s"]) * _activations(ROADMAPS[row["source"]].config(row["name"]))
        for row in _training_speeds()
        if row["source"] == settings.roadmap
        and row["name"] in ROADMAPS[settings.roadmap].keys
        and row["device_name"] == device_name
        and int(row["image_size"]) == MEASURED_SIZE
        and (settings.compiled == (row["compiled"] == "True"))
    ]
    if not rates:
        return None
    pixels = (MEASURED_SIZE / settings.recipe.train_size) ** 2
    return median(rates) / _activations(settings.network) * pixels


@lru_cache(maxsize=4096)
def _activations(config: ModelConfig) -> int:
    from roadmap.measure.complexity import count

    return count(config, MEASURED_SIZE).activations


@cache
def _training_speeds() -> list[dict[str, str]]:
    try:
        rows = read_rows("measured/throughput")
    except ResultsError:
        return []
    return [row for row in rows if row["mode"] == "training"]
