"""Atomic files: written to a temporary name, flushed to disk, then renamed."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.text import json_text

PARTIAL = ".partial"
#: Largest file that is read, in bytes; the class names of ImageNet-21k take 1 MB.
LARGEST = 16 * 2**20
#: First characters of cells that spreadsheets execute; the last four are full-width forms.
FORMULAS = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Write ``parts`` to ``path`` atomically; an existing file stays until all of it is on disk.

    Raises ``OSError`` (disk full, folder read-only, invalid name) and leaves nothing behind.
    """
    if not path.name:  # "." or "/"
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file. Raises ``OSError``, also if it is not a regular file (a pipe
    would block, a device never end) or larger than ``LARGEST`` bytes."""
    with open(path, "rb", opener=_without_blocking) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "It is not a regular file", str(path))
        if found.st_size > LARGEST:
            raise OSError(errno.EFBIG, f"It is larger than {LARGEST >> 20} MB", str(path))
        return file.read()


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. Raises ``OSError``, or ``ValueError`` if it is not JSON."""
    try:
        return json.loads(read_bytes(path))
    except RecursionError:  # none of our files is nested that deeply
        raise ValueError("it is nested too deeply") from None


def reason(error: Exception) -> str:
    """Return an error's text without the path, which our message names anyway."""
    return getattr(error, "strerror", None) or str(error)


def _without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as indented JSON, atomically; NaN becomes null. Raises ``OSError``."""
    write_bytes(path, json_text(value, indent=2).encode() + b"\n")


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a header and ``rows`` (``csv_text``), atomically. Raises ``OSError``."""
    write_bytes(path, csv_text(columns, rows).encode())


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a CSV with header; None becomes an empty cell, ``plain_cell`` escapes text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: plain_cell(row[name]) for name in row} for row in rows)
    return text.getvalue()


def plain_cell(value: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would run as a formula: names of folders
    and files come from anywhere."""
    if not isinstance(value, str):
        return value
    if "\r" in value:  # csv does not quote it, and readers start a new row there
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    if not value.lstrip(" ").startswith(FORMULAS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def remove_partial(folder: Path) -> None:
    """Remove temporary files that a killed process left in ``folder``."""
    for path in folder.glob(f"*{PARTIAL}"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power failure, where folders can be opened (not on Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
