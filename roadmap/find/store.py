"""Measured figures of the finder: one table, one row per network and condition.

The user's own table (``ROADMAP_FINDER``, or ``measured/finder.csv`` in ``own_results()``) is
replaced atomically after each measurement, so nothing measured is lost if a process is killed.
Reading also includes the committed table. Imports no torch.
"""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.variants import VARIANTS
from roadmap.files import csv_text, write_csv
from roadmap.measure.networks import LIBRARIES
from roadmap.steps import ROADMAPS
from roadmap.tables.results import RESULTS, own_results, read_rows

try:
    import fcntl
except ImportError:  # not available on Windows
    fcntl = None  # type: ignore[assignment]

VARIABLE = "ROADMAP_FINDER"
NAME = "measured/finder"
Row = dict[str, str]
#: Columns of the table, those of ``measured/throughput.csv`` and what disturbed the measurement.
COLUMNS = (
    *("source", "name", "mode", "device", "device_name", "dtype", "channels_last", "compiled"),
    *("batch_size", "image_size", "repetitions"),
    *("images_per_s", "images_per_s_p10", "images_per_s_p90", "peak_memory_gb"),
    *("torch", "timm", "torchvision", "python", "date", "cuda", "batch_size_asked", "depthwise"),
    *("disturbed", "attempts"),
)
#: Day from which figures of this project's networks count: since then, their 1x1 convolutions are
#: products where those are faster (measured/pointwise.csv). On CUDA, later code is up to 1.4 times
#: as fast with depthwise convolutions.
SAME_CODE = "2026-11-29"
#: Columns that identify a measurement.
KEY = ("source", "name", "image_size", "device_name", "dtype", "batch_size_asked")
_TURN = threading.Lock()


def path() -> Path:
    """Return the user's own table."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) / "finder.csv" if folder else own_results() / f"{NAME}.csv"


def rows() -> list[Row]:
    """Return every measured row; a user's own row replaces a committed one."""
    found = {key(row): row for row in _read(RESULTS / f"{NAME}.csv")}
    return list((found | {key(row): row for row in _read(path())}).values())


def figures() -> list[Row]:
    """Return ``rows`` and the rows of ``measured/throughput.csv`` timed in the same way.

    Of our networks' rows, those of earlier code do not count, and those timed with our depthwise
    kernels are preferred. A step that is a size as well has the size's name.
    """
    timed = [
        {**row, **_as_size(row), "disturbed": "", "attempts": "1"}
        for row in read_rows("measured/throughput")
        if (row["mode"], row["compiled"], row["channels_last"]) == ("inference", "False", "True")
        and (row["source"] in LIBRARIES or row["date"] >= SAME_CODE)
    ]
    timed.sort(key=lambda row: row["depthwise"] == "own")  # the last of a key is kept
    found = {key(row): row for row in timed}
    return list((found | {key(row): row for row in rows()}).values())


def _as_size(row: Row) -> Row:
    """Return the place of the size with the config of a row's step, if there is one."""
    if row["source"] not in ROADMAPS:
        return {}
    config = ROADMAPS[row["source"]].config(row["name"])
    return next(
        ({"source": "variant", "name": name} for name in VARIANTS if VARIANTS[name] == config), {}
    )


def key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[column]) for column in KEY)


def add(measured: Mapping[str, Any]) -> Row:
    """Add a measured row to the table, unless it has a better one; return the row kept.

    Of a disturbed row and another one, the faster is better: disturbances only cost time, and a
    host can be slow without one that is seen. Raises ``OSError`` if the table cannot be written.
    """
    new = {name: _text(measured.get(name)) for name in COLUMNS}
    with _alone():
        own = {key(row): row for row in _read(path())}
        old = own.get(key(new))
        attempts = str(int(old["attempts"]) + 1 if old else 1)
        kept = {**(old if old and _better(old, new) else new), "attempts": attempts}
        own[key(new)] = kept
        write_csv(path(), COLUMNS, list(own.values()))
    return kept


def merge(shared: Iterable[Row]) -> int:
    """Add rows of a shared file whose measurements the table does not have; return their number.

    Raises ``OSError`` if the table cannot be written.
    """
    with _alone():
        known = {key(row) for row in rows()}
        own = _read(path())
        new = [row for row in shared if key(row) not in known]
        if new:
            write_csv(path(), COLUMNS, [*own, *new])
    return len(new)


def shared_text(chosen: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as the CSV that ``shared.read`` accepts."""
    return csv_text(COLUMNS, [{name: row[name] for name in COLUMNS} for row in chosen])


def _better(old: Row, new: Row) -> bool:
    disturbed = bool(old["disturbed"] or new["disturbed"])
    return disturbed and float(old["images_per_s"]) > float(new["images_per_s"])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _read(table: Path) -> list[Row]:
    """Return the rows of a table; none if it does not exist or is not one of ours."""
    try:
        text = table.read_text(encoding="utf-8")
    except OSError:
        return []
    found = csv.DictReader(io.StringIO(text))
    if tuple(found.fieldnames or ()) != COLUMNS:
        return []
    return [row for row in found if None not in row.values()]


@contextmanager
def _alone() -> Iterator[None]:
    """Let one thread of one process change the table at a time."""
    path().parent.mkdir(parents=True, exist_ok=True)
    with _TURN, path().with_name(".finder.lock").open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file
        yield
