"""metrics.csv: one row per epoch."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from roadmap.files import read_bytes, reason
from roadmap.runs.record import RecordError
from roadmap.tables.results import ResultsError

if TYPE_CHECKING:
    from roadmap.runs.reader import Run

METRICS = "metrics.csv"
#: Losses are means over images, top-1 and top-5 percent of the validation images (empty where
#: that loss is not finite), ``train_top1`` of the training images as augmented; ``seconds`` and
#: ``images_per_s`` are of the epoch's training, its data loading included, without validation.
COLUMNS = (
    "epoch",
    "lr",
    "train_loss",
    "train_top1",
    "val_loss",
    "top1",
    "top5",
    "ema_val_loss",
    "ema_top1",
    "ema_top5",
    "images_per_s",
    "seconds",
)
#: Of those, what the clock decides: everything else is the same in every run of one seed.
CLOCK_COLUMNS = ("images_per_s", "seconds")


def curves(run: Run) -> dict[str, list[float | None]]:
    """The columns of the run's metrics.csv, one value per epoch.

    Empty before the first epoch has ended; None in an empty cell. Raises ``ResultsError`` for a
    table that can no longer be read.
    """
    path = run.path / METRICS
    try:
        return read_columns(path)
    except FileNotFoundError:
        if run.epochs == 0:
            return {name: [] for name in COLUMNS}
        raise ResultsError(f"{path} is no longer there") from None
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read: {reason(error)}") from None


def read_columns(path: Path) -> dict[str, list[float | None]]:
    """``COLUMNS`` of a metrics.csv. Raises ``OSError``, and ``ValueError`` for another table."""
    header, *rows = csv.reader(io.StringIO(read_bytes(path).decode()))
    cells = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    return {name: [_number(c) if c else None for c in cells.get(name, ())] for name in COLUMNS}


def _number(cell: str) -> float:
    number = float(cell)
    if not math.isfinite(number):
        raise ValueError(f"it has {cell} as a number")
    return number


def epochs_done(path: Path) -> tuple[int, float]:
    """Rows of a metrics.csv and the sum of their seconds; 0 before the first epoch has ended.

    Reads one column only: a page asks for thousands of runs. Raises ``RecordError``.
    """
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        return 0, 0.0
    except OSError as error:
        raise RecordError(f"{path.name} cannot be read: {reason(error)}.") from None
    lines = content.replace(b"\r\n", b"\n").split(b"\n")  # Git may write either
    header = lines[0].split(b",")
    if header != [name.encode() for name in COLUMNS]:
        raise RecordError(f"{path.name} does not begin with the columns of a run.")
    if lines.pop():
        raise RecordError(f"{path.name} is cut off in line {len(lines) + 1}.")
    column, seconds = header.index(b"seconds"), 0.0
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split(b",")
        try:
            seconds += _number(cells[column].decode())
        except (IndexError, ValueError):
            raise RecordError(f"{path.name} is damaged in line {number}.") from None
    return len(lines) - 1, seconds
