"""Whether two lists of class names are of the same classes in the same order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadmap.files import read_json
from roadmap.runs.record import as_names

#: Names and characters of a name that a message quotes.
QUOTED, LONGEST = 5, 40
#: What timm calls them in a ``config.json``, now and before.
_LABELS = ("label_names", "labels")


class ClassNamesError(ValueError):
    """Two lists of other classes; the sentence names those that differ."""


def places(names: Sequence[str], wanted: Sequence[str], where: tuple[str, str]) -> np.ndarray:
    """For each of ``names`` its place in ``wanted``, int64 (N,): 0 to N - 1 for equal lists.

    ``where`` says what has ``names`` and what has ``wanted``, for the message. Raises
    ``ClassNamesError`` where the two are not the same names.
    """
    if list(names) == list(wanted):
        return np.arange(len(names))
    ours, theirs = Counter(names), Counter(wanted)
    if ours != theirs:
        raise ClassNamesError(_difference(theirs - ours, ours - theirs, where, names, wanted))
    repeated = [name for name, count in ours.items() if count > 1]
    if repeated:
        raise ClassNamesError(
            f"{where[1]} and {where[0]} have the same class names in another order, and cannot be "
            f"matched by name: more than one class is named {quoted(repeated)}"
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
    """``missing`` are only in ``wanted``, ``extra`` only in ``names``."""
    sides = ((where[1], wanted, missing), (where[0], names, extra))
    counts = " and ".join(f"{side} has {len(all_names)}" for side, all_names, _ in sides)
    start = "the class names differ" if len(names) == len(wanted) else f"{counts} classes"
    only = [f"only {side} has {quoted(list(more))}" for side, _, more in sides if more]
    return f"{start}: {'; '.join(only)}"


def order_note(names: Sequence[str]) -> tuple[str, ...]:
    """A sentence where timm numbers class folders of these ``names`` in another order."""
    theirs = sorted(names, key=_natural_key)
    pairs = enumerate(zip(names, theirs, strict=True))
    place = next((index for index, (ours, other) in pairs if ours != other), None)
    if place is None:
        return ()
    return (
        f"class {place} is {quoted(names[place : place + 1])} here, in the order of code points as "
        f"in torchvision, and {quoted(theirs[place : place + 1])} in timm, which sorts class "
        "folders naturally: give timm's scripts --class-map with the file that "
        "`export --format hub` writes",
    )


def _natural_key(name: str) -> list[int | str]:
    """``timm.utils.natural_key``, without the seconds that importing timm takes."""
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if part.isdecimal() else part for part in parts]


def class_map(names: Sequence[str]) -> str | None:
    """The names as timm's ``--class-map`` reads them, a line each; None where it cannot.

    It strips each line, and takes the last of equal names.
    """
    lines = "\n".join(names).splitlines()
    good = lines == [name.strip() for name in names] and len(set(lines)) == len(names)
    # A name that is no Unicode, as a file system may have, fits into no text file.
    good = good and all(name.isprintable() for name in lines)
    return "".join(f"{line}\n" for line in lines) if good else None


def quoted(names: Sequence[str]) -> str:
    """The first few names, each cut to a readable length, and how many more there are."""
    short = [name if len(name) <= LONGEST else f"{name[:LONGEST]}..." for name in names[:QUOTED]]
    more = f" and {len(names) - QUOTED:,} more" if len(names) > QUOTED else ""
    return ", ".join(map(repr, short)) + more


def label_names(weights: Path) -> list[str] | None:
    """Class names in a ``config.json`` beside ``weights``, as timm publishes its models."""
    try:
        config = read_json(weights.parent / "config.json")
    except (OSError, ValueError):
        return None
    places = (config, config.get("pretrained_cfg")) if isinstance(config, dict) else ()
    found = (as_names(p.get(key)) for p in places if isinstance(p, dict) for key in _LABELS)
    return next(filter(None, found), None)
