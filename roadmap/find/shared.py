"""Read a results file that someone shared; anything unexpected is refused in one sentence."""

from __future__ import annotations

import csv
import io
import math

from models.text import said
from roadmap.errors import RefusedError
from roadmap.find.candidates import candidates
from roadmap.find.question import BATCH_SIZES, DTYPES
from roadmap.find.store import COLUMNS, Row

#: Largest file in bytes, most rows, longest text of a cell, and largest whole number.
MOST_BYTES, MOST_ROWS, LONGEST, MOST_WHOLE = 2_000_000, 5000, 100, 1_000_000
DEVICES = ("cpu", "cuda", "mps")
WHOLE = ("batch_size", "batch_size_asked", "image_size", "repetitions", "attempts")
#: Columns with positive numbers; memory may be missing.
POSITIVE = ("images_per_s", "images_per_s_p10", "images_per_s_p90", "peak_memory_gb")


def read(content: bytes, name: str = "The file") -> list[Row]:
    """Return the rows of a results file; ``name`` names it in messages.

    Raises ``RefusedError`` if it is not a results file of the finder.
    """
    if len(content) > MOST_BYTES:
        raise _refused(name, f"it is larger than {MOST_BYTES // 10**6} MB")
    try:
        table = csv.DictReader(io.StringIO(content.decode()), strict=True)
        head = tuple(table.fieldnames or ())
        if head != COLUMNS:
            raise _refused(name, "its first line does not have the columns of one")
        found = []
        for place, row in enumerate(table, start=1):
            if place > MOST_ROWS:
                raise _refused(name, f"it has more than {MOST_ROWS:,} rows")
            if None in row or None in row.values():
                raise _refused(name, f"row {place} has another number of cells than the header")
            found.append(_checked(row, place, name))
    except (UnicodeDecodeError, csv.Error):
        raise _refused(name, "it is not a CSV in UTF-8") from None
    if not found:
        raise _refused(name, "it has no rows")
    return found


def _checked(row: Row, place: int, name: str) -> Row:
    """Return ``row``; raise ``RefusedError`` at its first invalid cell."""
    for column, text in row.items():
        if len(text) > LONGEST or not (text.isprintable() and text == text.strip()):
            raise _refused(name, f"row {place}, {column} is {said(text)}; use a short plain text")
    choices = {
        "mode": ("inference",),
        "device": DEVICES,
        "dtype": DTYPES,
        "channels_last": ("True",),
        "compiled": ("False",),
    }
    for column, options in choices.items():
        if row[column] not in options:
            wanted = " or ".join(options)
            raise _refused(name, f"row {place}, {column} is {said(row[column])}; use {wanted}")
    for column in WHOLE:
        text = row[column]
        if not (text.isascii() and text.isdigit() and 0 < int(text) <= MOST_WHOLE):
            wanted = f"use a whole number from 1 to {MOST_WHOLE:,}"
            raise _refused(name, f"row {place}, {column} is {said(text)}; {wanted}")
    for column in POSITIVE:
        if row[column] or column != "peak_memory_gb":
            _check_number(row[column], f"row {place}, {column}", name)
    if int(row["batch_size_asked"]) > BATCH_SIZES[1] or not row["device_name"]:
        raise _refused(name, f"row {place} has no device name, or too large a batch")
    if (row["source"], row["name"], int(row["image_size"])) not in _known():
        network = f"{row['source']}:{row['name']}"
        raise _refused(name, f"row {place} has the network {said(network)}, which is no candidate")
    return row


def _check_number(text: str, where: str, name: str) -> None:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e9:
        raise _refused(name, f"{where} is {said(text)}; use a positive number")


def _known() -> set[tuple[str, str, int]]:
    return {candidate.place for candidate in candidates()}


def _refused(name: str, why: str) -> RefusedError:
    return RefusedError(f"{name} is not a results file of the finder: {why}.")
