"""Progress of a run: a progress bar, a row per epoch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from models.text import bounded
from roadmap.train.settings import ALWAYS_TOP5


class Display:
    """Progress bar and messages on standard error, only from the main process."""

    def __init__(self, shown: bool):
        self._console = Console(stderr=True, quiet=not shown, highlight=False, markup=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            refresh_per_second=4,
            # Without a terminal, one line per epoch is printed instead.
            disable=not (shown and sys.stderr.isatty()),
        )
        self._task: Any = None

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def say(self, sentence: str) -> None:
        self._console.print(bounded(sentence), soft_wrap=True)

    def begin(self, total_steps: int, step: int) -> None:
        self._task = self._progress.add_task(
            "training", total=total_steps, completed=step, figures=""
        )

    def update(
        self, step: int, epoch: int, epochs: int, loss: float, top1: float, speed: float
    ) -> None:
        """Show ``loss`` and ``top1`` (percent) since the epoch's start, ``speed`` in images/s."""
        if not self._progress.disable:
            self._progress.update(
                self._task,
                completed=step,
                description=f"epoch {epoch}/{epochs}",
                figures=f"loss {loss:.3f}  top-1 {top1:.1f}%  {speed:,.0f} images/s",
            )

    def epoch_line(self, row: Mapping[str, Any], epochs: int, classes: int) -> None:
        scores = "the validation loss is not finite, so there are no scores"
        if row["top1"] is not None:
            average = "" if row["ema_top1"] is None else f", average {row['ema_top1']:.2f}%"
            more = f", top-5 {row['top5']:.2f}%" if classes > ALWAYS_TOP5 else ""
            scores = f"top-1 {row['top1']:.2f}%{average}{more}"
        self.say(
            f"epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.4f}, {scores}, "
            f"{row['images_per_s']:,.0f} images/s"
        )
