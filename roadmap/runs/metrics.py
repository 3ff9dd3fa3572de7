"""metrics.csv: one row per epoch."""

from __future__ import annotations

import math
from pathlib import Path

from models.text import said
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
    """Read the columns of a metrics.csv; an empty cell is None.

    Raises ``OSError``, and ``RecordError`` if the file is damaged.
    """
    cells = list(zip(*_rows(path), strict=True)) or [()] * len(COLUMNS)
    return {
        name: [
            _number(path, line, name, cell) if cell else None for line, cell in enumerate(each, 2)
        ]
        for name, each in zip(COLUMNS, cells, strict=True)
    }


def epochs_done(path: Path) -> tuple[int, float]:
    """Return the number of rows of a metrics.csv and their total seconds; 0 if it does not exist.

    Converts a single column, since a page may read thousands of runs. Raises ``RecordError`` if the
    file is damaged or cannot be read.
    """
    try:
        rows = _rows(path)
    except FileNotFoundError:
        return 0, 0.0
    except OSError as error:
        raise RecordError(f"{path.name} cannot be read: {reason(error)}.") from None
    column = COLUMNS.index("seconds")
    seconds = (
        _number(path, number, "seconds", cells[column]) for number, cells in enumerate(rows, 2)
    )
    return len(rows), sum(seconds)


def _rows(path: Path) -> list[list[str]]:
    """Return the cells of every row. Raises ``OSError``; ``RecordError`` for another table."""
    content = read_bytes(path).decode(errors="replace")
    header, *lines = content.replace("\r\n", "\n").split("\n")  # Git may write either
    if header != ",".join(COLUMNS):
        raise RecordError(f"{path.name} has a wrong header; expected {','.join(COLUMNS)}.")
    if not lines or lines.pop():
        raise RecordError(f"{path.name} is truncated in line {len(lines) + 2}.")
    rows = [line.split(",") for line in lines]
    for number, cells in enumerate(rows, start=2):
        if len(cells) != len(COLUMNS):
            raise RecordError(
                f"{path.name} is damaged: line {number} has {len(cells)} cells instead of "
                f"{len(COLUMNS)}."
            )
    return rows


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return number
    raise RecordError(
        f"{path.name} is damaged: line {line} has no number in column {column}, but {said(cell)}."
    )
