"""metrics.csv: one row per epoch."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from roadmap.files import read_bytes, reason
from roadmap.runs.record import RecordError

METRICS = "metrics.csv"
SCORES = ("val_loss", "top1", "top5", "ema_val_loss", "ema_top1", "ema_top5")
#: Losses are means over images. ``top1`` and ``top5`` are percent of the validation images, empty
#: if the loss is not finite; ``train_top1`` is percent of the augmented training images.
#: ``seconds`` and ``images_per_s`` include training and data loading but not validation.
COLUMNS = (
    "epoch",
    "lr",
    "train_loss",
    "train_top1",
    *SCORES,
    "images_per_s",
    "seconds",
)
#: The columns that depend on time; the others are equal in all runs with the same seed.
CLOCK_COLUMNS = ("images_per_s", "seconds")


def read_columns(path: Path) -> dict[str, list[float | None]]:
    """Read ``COLUMNS`` of a metrics.csv. Raises ``OSError``; ``ValueError`` for any other table."""
    header, *rows = csv.reader(io.StringIO(read_bytes(path).decode()))
    cells = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    return {name: [_number(c) if c else None for c in cells.get(name, ())] for name in COLUMNS}


def _number(cell: str) -> float:
    number = float(cell)
    if not math.isfinite(number):
        raise ValueError(f"it contains {cell}; expected finite numbers")
    return number


def epochs_done(path: Path) -> tuple[int, float]:
    """Return the number of rows of a metrics.csv and their total seconds; 0 if it does not exist.

    Parses a single column, since a page may read thousands of runs. Raises ``RecordError`` if the
    file is damaged or cannot be read.
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
        raise RecordError(f"{path.name} has a wrong header; expected {','.join(COLUMNS)}.")
    if lines.pop():
        raise RecordError(f"{path.name} is truncated in line {len(lines) + 1}.")
    column, seconds = header.index(b"seconds"), 0.0
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split(b",")
        try:
            seconds += _number(cells[column].decode())
        except (IndexError, ValueError):
            raise RecordError(
                f"{path.name} is damaged: line {number} has no number in column seconds."
            ) from None
    return len(lines) - 1, seconds
