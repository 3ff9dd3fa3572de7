"""All runs on disk, re-read only where they have changed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import streamlit as st

from roadmap.analysis.ablation import Ablation, analyse
from roadmap.analysis.narrowing import Narrowing, narrowing_of_runs
from roadmap.runs import Runs, RunsReader, StepRun, Unreadable
from roadmap.runs.folders import runs_folder as root
from roadmap.runs.folders import runs_folders
from roadmap.steps import ROADMAPS
from roadmap.sweep import background

__all__ = ["ablation", "broken", "folders", "of", "read", "roadmaps", "root"]

FRESH = 0.5  # seconds


def read() -> Runs:
    """Return all runs, at most half a second old: several parts of the page ask in turn."""
    reader = _reader(runs_folders())
    if reader.found is None or time.monotonic() - reader.looked > FRESH:
        reader.found, reader.looked = reader.read(), time.monotonic()
    return reader.found


class _Reader(RunsReader):
    found: Runs | None = None
    looked = 0.0


@st.cache_resource(show_spinner=False, max_entries=4)
def _reader(folders: tuple[Path, ...]) -> _Reader:
    return _Reader(*folders)


def folders(runs: Sequence[StepRun]) -> tuple[str, ...]:
    """Return the data sets' folders; runs in one of them can be compared. Folders with finished
    runs come first, most full-scale runs first, so that pocket runs do not displace them."""
    finished = Counter(run.path.parent.name for run in runs if run.finished)
    full = Counter(run.path.parent.name for run in runs if run.finished and run.scale == "full")
    names = dict.fromkeys(run.path.parent.name for run in runs)
    return tuple(sorted(names, key=lambda name: (-full[name], -finished[name])))


def roadmaps(runs: Sequence[StepRun]) -> tuple[str, ...]:
    """Return every roadmap, the one with the most ``runs`` first."""
    counts = Counter(run.roadmap for run in runs)
    return tuple(sorted(ROADMAPS, key=lambda name: -counts[name]))


def of(runs: Sequence[StepRun], folder: str, roadmap: str) -> tuple[StepRun, ...]:
    """Return the runs of one folder and roadmap, sorted by step and seed."""
    keys = ROADMAPS[roadmap].keys
    chosen = [run for run in runs if (run.path.parent.name, run.roadmap) == (folder, roadmap)]
    return tuple(sorted(chosen, key=lambda run: (keys.index(run.step), run.seed)))


@lru_cache(maxsize=8)  # Streamlit's would hash every recipe
def ablation(runs: tuple[StepRun, ...]) -> Ablation:
    """Analyze the finished runs. Raises ``ResultsError``."""
    return analyse(runs, analyzed(runs), runs[0].roadmap)


@lru_cache(maxsize=32)
def narrowing(
    runs: tuple[StepRun, ...], data: str, roadmap: str, step: str
) -> tuple[Narrowing, ...]:
    """Return how the verdict on ``step`` narrows with seeds. Raises ``ResultsError``."""
    return narrowing_of_runs(runs, data, roadmap, step)


def analyzed(runs: Sequence[StepRun]) -> str:
    """Return the data name that most ``runs`` of one folder have, finished runs first; runs on
    other data cannot be compared with them."""
    finished = [run.data for run in runs if run.finished]
    return Counter(finished or [run.data for run in runs]).most_common(1)[0][0]


def broken(found: Runs) -> tuple[Unreadable, ...]:
    """Return the unreadable folders, except those in which a sweep is just starting a run."""
    folder = root()
    task = background.read_task(folder) if background.is_running(folder) else None
    new = {folder / task.data / name for name in task.runs} if task else set()
    return tuple(lost for lost in found.unreadable if lost.path not in new)
