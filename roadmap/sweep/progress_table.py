"""The progress table of a sweep (one row per step, one column per seed); lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import mean
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from roadmap.sweep.plan import PlannedRun, Progress, read_progress
from roadmap.sweep.scheduler import State
from roadmap.text import duration

WAITS = "waits"
HELD = "waiting: another process is training it"


class ProgressTable:
    """Shows the state of ``runs`` on standard error while entered.

    ``devices`` is the number of runs that train at once.
    """

    def __init__(self, runs: Sequence[PlannedRun], devices: int):
        self._planned, self._devices = list(runs), devices
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._said: dict[PlannedRun, str] = {}
        self._resting: dict[PlannedRun, Progress] = {}

    def __enter__(self) -> ProgressTable:
        if sys.stderr.isatty():
            self._live = Live(console=self._console, refresh_per_second=2)
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def show(self, state: State, training: list[PlannedRun], starting: list[PlannedRun]) -> None:
        """Update the display; called repeatedly."""
        moving = {*training, *starting}
        self._resting = {run: self._rests(run, state) for run in self._planned if run not in moving}
        progress = self._resting | {run: read_progress(run.folder) for run in training}
        failed = {ending.run for ending in state.failed}
        texts = {run: _text(run, progress[run], run in training) for run in progress}
        texts |= dict.fromkeys(state.held, HELD)
        texts |= dict.fromkeys(starting, "starting") | dict.fromkeys(failed, "failed")
        if self._live is not None:
            table = self._table(texts, state, training)
            waiting = [*state.waiting, *starting]
            table.caption = self._caption(state, training, waiting, progress)
            self._live.update(table)
            return
        for run in self._planned:
            # One line when a run starts, ends or finishes an epoch.
            if self._said.get(run, WAITS) != texts[run]:
                self._console.print(f"{run.name}: {texts[run]}", soft_wrap=True)
                self._said[run] = texts[run]

    def _rests(self, run: PlannedRun, state: State) -> Progress:
        """Return a run's state, cached unless another process is training it or has finished it."""
        known = self._resting.get(run)
        moved = run in state.held or (run in state.done and known and known.status != "finished")
        return read_progress(run.folder) if known is None or moved else known

    def _table(
        self, texts: dict[PlannedRun, str], state: State, training: list[PlannedRun]
    ) -> Table:
        seeds = list(dict.fromkeys(run.settings.seed for run in self._planned))
        rows: dict[tuple[str, str], dict[int, str]] = {}
        styles = dict.fromkeys(training, "bold") | {e.run: "red" for e in state.failed}
        for run in self._planned:
            row = rows.setdefault(_step(run), {})
            row[run.settings.seed] = f"[{styles.get(run, 'none')}]{texts[run]}"
        table = Table("step", *(f"seed {seed}" for seed in seeds))
        several = len({roadmap for roadmap, _ in rows}) > 1
        for name, row in rows.items():
            label = " ".join(name) if several else name[1]
            table.add_row(label, *(row.get(seed, "") for seed in seeds))
        return table

    def _caption(
        self,
        state: State,
        training: list[PlannedRun],
        waiting: list[PlannedRun],
        progress: dict[PlannedRun, Progress],
    ) -> str:
        counts = (
            f"{len(state.done)} of {len(self._planned)} done, {len(training)} running, "
            f"{len(waiting)} waiting"
        )
        if state.failed:
            counts += f", {len(state.failed)} failed"
        left = seconds_left([*waiting, *training], progress, self._devices)
        return counts if left is None else f"{counts}; {duration(left)} left"


def seconds_left(
    runs: Sequence[PlannedRun], progress: dict[PlannedRun, Progress], devices: int
) -> float | None:
    """Return the seconds left for ``runs``, from finished epochs; None before the first."""
    known = {run: p.epoch_seconds for run, p in progress.items() if p.epoch_seconds}
    if not known:
        return None
    by_step: dict[tuple[str, str], list[float]] = {}
    for run, seconds in known.items():
        by_step.setdefault(_step(run), []).append(seconds)
    usual = mean(known.values())
    total = sum(
        (run.settings.recipe.epochs - progress.get(run, Progress()).epochs)
        * mean(by_step.get(_step(run), [usual]))
        for run in runs
    )
    return total / min(devices, max(1, len(runs)))


def _text(run: PlannedRun, progress: Progress, trains: bool) -> str:
    epoch = f"epoch {progress.epochs}/{run.settings.recipe.epochs}"
    top1 = "" if progress.top1 is None else f" {progress.top1:.2f}%"
    if trains:
        return epoch + top1
    if progress.status == "finished":
        return progress.status + top1
    return f"{WAITS} at {epoch}" if progress.epochs else WAITS


def _step(run: PlannedRun) -> tuple[str, str]:
    settings = run.settings
    return settings.roadmap, settings.step or settings.subject
