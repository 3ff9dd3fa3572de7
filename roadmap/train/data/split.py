"""Splits of images, and the data set (``Source``) that holds two of them.

Finds the splits by names of folders and files, and checks labels and classes before any image is
decoded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from roadmap.text import counted
from roadmap.train.data.class_names import places
from roadmap.train.data.images import DataError, decode

#: Names of the training and validation splits; the first one that exists is used.
TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "validation", "valid", "dev", "eval", "evaluation", "test", "testing")
#: Those of ``VAL_NAMES`` that only replace a missing validation split.
TEST_NAMES = ("test", "testing")


class Decoded(Protocol):
    """Images in a fixed order, as far as decoding goes."""

    @property
    def labels(self) -> np.ndarray: ...  # int64 (N,)

    def pixels(self, index: int) -> np.ndarray:
        """uint8 (H, W, 3). Raises ``DataError``."""


class Split(Decoded, Protocol):
    """Training or validation images."""

    labels: np.ndarray  # int64 (N,)
    #: Whether images are turned as their EXIF orientation tag says; some have none.
    exif_orientation: bool

    def name(self, index: int) -> str:
        """Return the name of image ``index`` for messages."""

    def data(self, index: int) -> bytes:
        """Return the stored bytes: encoded, or the pixels themselves. Raises ``DataError``."""

    def detail(self, index: int) -> str:
        """Return file name and size, which replace the bytes in the hash of a large set."""


class EncodedSplit(ABC):
    """Image files or their like, whose ``name`` and ``data`` a subclass gives (``Split``)."""

    exif_orientation = True

    @abstractmethod
    def name(self, index: int) -> str: ...

    @abstractmethod
    def data(self, index: int) -> bytes: ...

    def pixels(self, index: int) -> np.ndarray:
        return decode(self.data(index), self.name(index), self.exif_orientation)


@dataclass(frozen=True)
class Source:
    name: str
    class_names: tuple[str, ...]
    train: Split
    val: Split
    #: Names of the two splits at their source, such as ("train", "valid").
    splits: tuple[str, str] = ("train", "val")
    #: Where each split comes from, for messages; None for the digits.
    taken: tuple[str, str] | None = None
    #: Whether mirrored images keep their class; digits do not.
    mirrors: bool = True
    #: Whether the set names its classes; otherwise ``class_names`` are the labels as text.
    named: bool = True
    #: Notes for the user, one sentence each.
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The name of the folder for runs on this set: its own, without a prefix as in torch/."""
        return self.name.rpartition("/")[2]

    @property
    def said(self) -> tuple[str, ...]:
        """Return the lines printed before the set is used."""
        if self.taken is None:
            return self.notes
        return f"training on {self.taken[0]}, validating on {self.taken[1]}", *self.notes

    def ordered(self, class_names: Sequence[str] | None, where: str) -> Source:
        """Return this set with its classes numbered in the order of ``class_names``, if known.

        ``where`` says whose order that is. A set without names, or in that order, is returned as it
        is. Raises ``ClassNamesError`` if the names are not those of this set.
        """
        if class_names is None or not self.named or self.class_names == tuple(class_names):
            return self
        place = places(self.class_names, class_names, (self.name, where))
        for split in (self.train, self.val):
            split.labels = place[split.labels]
        return replace(self, class_names=tuple(class_names))


def split_files(root: Path, names: Sequence[str], ending: str) -> tuple[str, list[Path]]:
    """Return the first of ``names`` that some file name starts with, and all of its files.

    A file belongs to the longest matching name: ``valid-0.parquet`` to valid, not val.
    """
    known = sorted((*TRAIN_NAMES, *VAL_NAMES), key=len, reverse=True)
    found: dict[str | None, list[Path]] = {}
    for file in sorted(root.glob(f"*{ending}")):
        start = next((name for name in known if file.name.lower().startswith(name)), None)
        found.setdefault(start, []).append(file)
    return next(((name, found[name]) for name in names if name in found), (names[0], []))


def file_pattern(name: str, files: list[Path]) -> str:
    """Return how messages refer to the files of one split (``split_files``)."""
    first = files[0]
    return str(first) if len(files) == 1 else f"{first.parent}/{name}*{first.suffix}"


def folder_name(path: str | Path) -> str:
    """Return a folder's real name as the data set's name, also for ``.`` or a link."""
    return Path(path).resolve().name.lstrip(".") or "data"  # the root folder has no name


def no_val_note(name: Any, splits: tuple[str, str]) -> tuple[str, ...]:
    """Return a note if the validation images are a test split's (second of ``splits``)."""
    if splits[1].lower() not in TEST_NAMES:
        return ()
    return (f"{name} has no validation split: using its {splits[1]} split",)


def skipped_note(kinds: Counter[str], where: Any) -> tuple[str, ...]:
    """Return a note on the number of skipped files of each kind in ``where``."""
    if not kinds:
        return ()
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    more = ", ..." if len(kinds) > 5 else ""
    return (f"{counted(kinds.total(), 'file')} in {where} skipped: {listed}{more}",)


def other_files_note(root: Path, ending: str, taken: Sequence[Path]) -> tuple[str, ...]:
    """Return a note on files with this ``ending`` in ``root`` that are in neither split."""
    others = sorted({file.name for file in root.glob(f"*{ending}")} - {file.name for file in taken})
    if not others:
        return ()
    more = ", ..." if len(others) > 3 else ""
    listed = ", ".join(others[:3]) + more
    return (f"{counted(len(others), 'file')} in {root} of other splits skipped: {listed}",)


def check_range(labels: np.ndarray, classes: int, where: str) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise DataError(f"{where} has label {wrong}; with {classes} classes use 0 to {classes - 1}")


def numbered_names(labels: np.ndarray, where: str) -> tuple[str, ...]:
    """Return the labels as text, for a set that does not name its classes."""
    names = int(labels.max(initial=0)) + 1
    if names > len(labels):  # not listed: labels may be arbitrarily large
        present = np.unique(labels[labels >= 0])
        gap = int(np.argmax(present != np.arange(len(present))))
        raise _no_image(where, gap, str(gap), " and others")
    return tuple(map(str, range(names)))


def checked_source(
    name: str,
    names: tuple[str, ...] | None,
    train: Split,
    val: Split,
    *,
    splits: tuple[str, str],
    places: tuple[str, str],
    at: Any,
    skipped: Sequence[str] = (),
    notes: Sequence[str] = (),
    **options: Any,
) -> Source:
    """Return a ``Source`` with checked labels and all notes for the user.

    ``names`` are the class names; None if the set has none. ``places`` are the splits in messages,
    ``at`` the set. ``skipped`` are notes on training files, since a class may have only those.
    """
    named = names is not None
    names = names if names is not None else numbered_names(train.labels, places[0])
    check_classes(train.labels, names, places[0], skipped)
    check_range(val.labels, len(names), places[1])
    notes = (*no_val_note(at, splits), *skipped, *notes, *val_notes(val.labels, names, places[1]))
    given: dict[str, Any] = {"taken": places, "named": named, "notes": notes} | options
    return Source(name, names, train, val, splits=splits, **given)


def check_classes(
    labels: np.ndarray, names: tuple[str, ...], where: str, notes: Sequence[str] = ()
) -> None:
    """Check that there are at least two classes, each with a training image.

    ``notes`` are added to the error, since a class may have skipped files.
    """
    check_range(labels, len(names), where)
    if len(names) < 2:
        raise DataError(f"{where} has only one class, {names[0]}: classification needs two or more")
    empty = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)
    if len(empty):
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise _no_image(where, int(empty[0]), names[empty[0]], more, notes)


def _no_image(where: str, label: int, name: str, more: str, notes: Sequence[str] = ()) -> DataError:
    sentence = (
        f"{where} has no image of class {label} ({name}){more}: "
        "add images, or remove the class and number the others without gaps"
    )
    return DataError("; ".join((sentence, *notes)))


def val_notes(labels: np.ndarray, names: tuple[str, ...], where: Any) -> tuple[str, ...]:
    missing = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)
    if not len(missing):
        return ()
    listed = ", ".join(names[label] for label in missing[:3]) + ("..." if len(missing) > 3 else "")
    return (f"{where} has no images of {len(missing)} of the {len(names)} classes: {listed}",)


def renumber(
    labels: np.ndarray, names: Sequence[str], to: Sequence[str], where: Any, first: Any
) -> np.ndarray:
    """Convert ``labels`` from indices in ``names`` to indices in ``to``.

    ``where`` and ``first`` say where these lists come from. Raises ``DataError`` unless each of
    ``names`` is one class of ``to``.
    """
    if tuple(names) == tuple(to):
        return labels
    if len(labels):
        check_range(labels, len(names), where)
    places = {name: place for place, name in enumerate(to)}
    strange = [name for name in names if name not in places]
    if strange or len(places) < len(to) or len(set(names)) < len(names):
        lacking = f", of which {_listed(strange)} are unknown there" if strange else ""
        raise DataError(
            f"{first} has the classes {_listed(to)}; {where} has {_listed(names)}{lacking}: "
            "write both with the same list of names"
        )
    return np.array([places[name] for name in names], dtype=np.int64)[labels]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
