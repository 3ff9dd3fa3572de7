"""The progress table of a sweep: rows are steps, columns seeds; lines if not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import mean

from rich.console import Console
from rich.live import Live
from rich.table import Table

from roadmap.sweep.conduct import State
from roadmap.sweep.jobs import Job, Progress, read_progress
from roadmap.text import duration

WAITS = "waits"
HELD = "waiting: another process is training it"


class Board:
    """Shows the state of ``jobs`` on standard error while entered; ``devices`` train at once."""

    def __init__(self, jobs: Sequence[Job], devices: int):
        self._jobs, self._devices = list(jobs), devices
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._said: dict[Job, str] = {}
        self._resting: dict[Job, Progress] = {}

    def __enter__(self) -> Board:
        if sys.stderr.isatty():
            self._live = Live(console=self._console, refresh_per_second=2)
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def show(self, state: State, training: list[Job], starting: list[Job]) -> None:
        """Update the display; called repeatedly."""
        moving = {*training, *starting}
        self._resting = {job: self._rests(job, state) for job in self._jobs if job not in moving}
        progress = self._resting | {job: read_progress(job.folder) for job in training}
        failed = {ending.job for ending in state.failed}
        texts = {job: _text(job, progress[job], job in training) for job in progress}
        texts |= dict.fromkeys(state.held, HELD)
        texts |= dict.fromkeys(starting, "starting") | dict.fromkeys(failed, "failed")
        if self._live is not None:
            table = self._table(texts, state, training)
            waiting = [*state.waiting, *starting]
            table.caption = self._caption(state, training, waiting, progress)
            self._live.update(table)
            return
        for job in self._jobs:
            # One line when a run starts, ends or finishes an epoch.
            if self._said.get(job, WAITS) != texts[job]:
                self._console.print(f"{job.name}: {texts[job]}", soft_wrap=True)
                self._said[job] = texts[job]

    def _rests(self, job: Job, state: State) -> Progress:
        """Return a job's state, cached unless another process is training it or has finished it."""
        known = self._resting.get(job)
        moved = job in state.held or (job in state.done and known and known.status != "finished")
        return read_progress(job.folder) if known is None or moved else known

    def _table(self, texts: dict[Job, str], state: State, training: list[Job]) -> Table:
        seeds = list(dict.fromkeys(job.settings.seed for job in self._jobs))
        rows: dict[tuple[str, str], dict[int, str]] = {}
        styles = dict.fromkeys(training, "bold") | {e.job: "red" for e in state.failed}
        for job in self._jobs:
            row = rows.setdefault(_step(job), {})
            row[job.settings.seed] = f"[{styles.get(job, 'none')}]{texts[job]}"
        table = Table("step", *(f"seed {seed}" for seed in seeds))
        several = len({roadmap for roadmap, _ in rows}) > 1
        for name, row in rows.items():
            label = " ".join(name) if several else name[1]
            table.add_row(label, *(row.get(seed, "") for seed in seeds))
        return table

    def _caption(
        self,
        state: State,
        training: list[Job],
        waiting: list[Job],
        progress: dict[Job, Progress],
    ) -> str:
        counts = (
            f"{len(state.done)} of {len(self._jobs)} done, {len(training)} running, "
            f"{len(waiting)} waiting"
        )
        if state.failed:
            counts += f", {len(state.failed)} failed"
        left = seconds_left([*waiting, *training], progress, self._devices)
        return counts if left is None else f"{counts}; {duration(left)} left"


def seconds_left(jobs: Sequence[Job], progress: dict[Job, Progress], devices: int) -> float | None:
    """Return the seconds left for ``jobs``, from finished epochs; None before the first."""
    known = {job: p.epoch_seconds for job, p in progress.items() if p.epoch_seconds}
    if not known:
        return None
    by_step: dict[tuple[str, str], list[float]] = {}
    for job, seconds in known.items():
        by_step.setdefault(_step(job), []).append(seconds)
    usual = mean(known.values())
    total = sum(
        (job.settings.recipe.epochs - progress.get(job, Progress()).epochs)
        * mean(by_step.get(_step(job), [usual]))
        for job in jobs
    )
    return total / min(devices, max(1, len(jobs)))


def _text(job: Job, progress: Progress, trains: bool) -> str:
    epoch = f"epoch {progress.epochs}/{job.settings.recipe.epochs}"
    top1 = "" if progress.top1 is None else f" {progress.top1:.2f}%"
    if trains:
        return epoch + top1
    if progress.status == "finished":
        return progress.status + top1
    return f"{WAITS} at {epoch}" if progress.epochs else WAITS


def _step(job: Job) -> tuple[str, str]:
    settings = job.settings
    return settings.roadmap, settings.step or settings.subject
