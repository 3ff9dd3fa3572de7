"""Comparison of two lists of class names: same classes, same order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadmap.files import read_json
from roadmap.runs.record import as_names

#: Most names, and characters per name, quoted in a message.
QUOTED, LONGEST = 5, 40
#: timm's keys for class names in ``config.json``, current and old.
_LABELS = ("label_names", "labels")


class ClassNamesError(ValueError):
    """Two lists with different classes; the message names the differences."""


def places(names: Sequence[str], wanted: Sequence[str], where: tuple[str, str]) -> np.ndarray:
    """Return the index in ``wanted`` of each of ``names``, int64 (N,).

    ``where`` says where ``names`` and ``wanted`` come from, for messages. Raises
    ``ClassNamesError`` if the two lists do not have the same names.
    """
    if list(names) == list(wanted):
        return np.arange(len(names))
    ours, theirs = Counter(names), Counter(wanted)
    if ours != theirs:
        raise ClassNamesError(_difference(theirs - ours, ours - theirs, where, names, wanted))
    repeated = [name for name, count in ours.items() if count > 1]
    if repeated:
        raise ClassNamesError(
            f"{where[1]} and {where[0]} have the same class names in different orders and "
            "cannot be "
            f"matched by name: several classes are named {quoted(repeated)}"
        )
    place = {name: index for index, name in enumerate(wanted)}
    return np.array([place[name] for name in names], dtype=np.int64)


def _difference(
    missing: Counter[str],
    extra: Counter[str],
    where: tuple[str, str],
    names: Sequence[str],
    wanted: Sequence[str],
) -> str:
    """Return the error message; ``missing`` are only in ``wanted``, ``extra`` only in ``names``."""
    sides = ((where[1], wanted, missing), (where[0], names, extra))
    counts = " and ".join(f"{side} has {len(all_names)}" for side, all_names, _ in sides)
    start = "the class names differ" if len(names) == len(wanted) else f"{counts} classes"
    only = [f"only {side} has {quoted(list(more))}" for side, _, more in sides if more]
    return f"{start}: {'; '.join(only)}"


def order_note(names: Sequence[str]) -> tuple[str, ...]:
    """Return a note if timm numbers class folders with these ``names`` differently."""
    theirs = sorted(names, key=_natural_key)
    pairs = enumerate(zip(names, theirs, strict=True))
    place = next((index for index, (ours, other) in pairs if ours != other), None)
    if place is None:
        return ()
    return (
        f"class {place} is {quoted(names[place : place + 1])} here (sorted by code point, as in "
        f"torchvision), but {quoted(theirs[place : place + 1])} in timm (natural order): run "
        "timm's scripts with --class-map and the file that `export --format hub` writes",
    )


def _natural_key(name: str) -> list[int | str]:
    """A copy of ``timm.utils.natural_key``, since importing timm takes seconds."""
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if part.isdecimal() else part for part in parts]


def class_map(names: Sequence[str]) -> str | None:
    """Return the names as a file for timm's ``--class-map``, one per line, or None.

    timm strips each line and uses the last of equal names, so not all names can be written.
    """
    lines = "\n".join(names).splitlines()
    good = lines == [name.strip() for name in names] and len(set(lines)) == len(names)
    # A file system may have names that are not Unicode; a text file cannot.
    good = good and all(name.isprintable() for name in lines)
    return "".join(f"{line}\n" for line in lines) if good else None


def quoted(names: Sequence[str]) -> str:
    """List the first names, shortened, and the number of others."""
    short = [name if len(name) <= LONGEST else f"{name[:LONGEST]}..." for name in names[:QUOTED]]
    more = f" and {len(names) - QUOTED:,} more" if len(names) > QUOTED else ""
    return ", ".join(map(repr, short)) + more


def label_names(weights: Path) -> list[str] | None:
    """Return the class names in a ``config.json`` beside ``weights``, as timm publishes them."""
    try:
        config = read_json(weights.parent / "config.json")
    except (OSError, ValueError):
        return None
    places = (config, config.get("pretrained_cfg")) if isinstance(config, dict) else ()
    found = (as_names(p.get(key)) for p in places if isinstance(p, dict) for key in _LABELS)
    return next(filter(None, found), None)
