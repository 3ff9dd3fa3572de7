"""Publish a run's figures while it trains (``roadmap.runs.live``)."""

from __future__ import annotations

import time
from math import isfinite
from pathlib import Path

from roadmap.runs.live import MOST_POINTS, Live, read_live, remove_live, write_live
from roadmap.train.trainer import Sums

EVERY = 1.0  # seconds
NONE = Sums(0.0, 0.0, 0, None)


class LiveFigures:
    """Writes the figures of the run in ``folder`` at most once per ``EVERY`` seconds.

    Continues the loss curve of an earlier attempt up to ``step``.
    """

    def __init__(self, folder: Path, step: int, steps: int, steps_per_epoch: int):
        self._folder, self._steps, self._steps_per_epoch = folder, steps, steps_per_epoch
        before = read_live(folder)
        self._points = [point for point in (before.points if before else ()) if point[0] <= step]
        self._epoch, self._last = 0, NONE
        self._written = time.perf_counter()
        self._first: tuple[int, float] | None = None  # step and time after the first step

    def note(self, step: int, sums: Sums, images_per_s: float) -> None:
        """Write the figures after ``step`` steps if they are due; ``sums`` are this epoch's."""
        now = time.perf_counter()
        if self._first is None:
            self._first = step, now
        epoch = (step - 1) // self._steps_per_epoch
        if epoch != self._epoch:
            self._epoch, self._last = epoch, NONE
        read = sums.images != self._last.images  # a GPU's sums arrive later
        if now - self._written < EVERY or not read or not isfinite(sums.loss):
            return
        self._written = now
        self._add_point(step, sums)
        live = Live(
            step=step,
            steps=self._steps,
            steps_per_epoch=self._steps_per_epoch,
            loss=sums.loss / sums.images,
            images_per_s=images_per_s,
            seconds_left=self._seconds_left(step, now),
            points=tuple(self._points),
        )
        write_live(self._folder, live)

    def remove(self) -> None:
        remove_live(self._folder)

    def _add_point(self, step: int, sums: Sums) -> None:
        images = sums.images - self._last.images
        self._points.append((step, (sums.loss - self._last.loss) / images))
        self._last = sums
        if len(self._points) > MOST_POINTS:
            self._points = self._points[::-2][::-1]

    def _seconds_left(self, step: int, now: float) -> float | None:
        assert self._first is not None
        first, begun = self._first
        if step == first:
            return None
        return (self._steps - step) * (now - begun) / (step - first)
