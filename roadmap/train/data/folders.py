"""Image files in one folder per class. Labels and names are listed without decoding any image."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from roadmap.train.data.class_names import order_note
from roadmap.train.data.images import DataError, image_endings, reason
from roadmap.train.data.split import (
    TRAIN_NAMES,
    VAL_NAMES,
    EncodedSplit,
    Source,
    checked_source,
    folder_name,
    skipped_note,
)


class FolderSplit(EncodedSplit):
    """Image files; paths are one byte array, since a million strings take 10 times the memory."""

    def __init__(self, root: Path, paths: Sequence[str], labels: np.ndarray):
        self.root = str(root)
        self.paths = np.array([os.fsencode(path) for path in paths])
        self.labels = labels

    def name(self, index: int) -> str:
        return os.path.join(self.root, os.fsdecode(bytes(self.paths[index])))  # noqa: PTH118

    def data(self, index: int) -> bytes:
        try:
            self._size(index)
            return Path(self.name(index)).read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.name(index)} cannot be read: {error.strerror or reason(error)}"
            ) from None

    def detail(self, index: int) -> str:
        try:
            size = self._size(index)
        except OSError as error:
            raise DataError(f"{self.name(index)} no longer exists: {error.strerror}") from None
        if not size:
            raise DataError(f"{self.name(index)} is empty")
        return f"{os.fsdecode(bytes(self.paths[index]))} {size}"

    def _size(self, index: int) -> int:
        status = os.stat(self.name(index))  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait forever
            raise DataError(f"{self.name(index)} is not a regular file: remove it")
        return status.st_size


def class_folders(root: Path) -> Source | None:
    """Open a folder as of ImageNet: ``train/CLASS/*.jpg``, ``val/CLASS/*.jpg``, sorted classes.

    Returns None if it has no training folder with class folders. Raises ``DataError``.
    """
    train, val = _split_folder(root, TRAIN_NAMES), _split_folder(root, VAL_NAMES)
    names = _class_names(train) if train is not None else ()
    if train is None or not names:
        return None
    if val is None:
        raise DataError(f"{root} has no validation images: add val/ with one folder per class")
    train_split, train_skipped = _folder_split(train, names)
    strange = sorted(set(_class_names(val)) - set(names))
    if strange:
        raise DataError(
            f"{val / strange[0]} is a class that {train} does not have: add or remove it"
        )
    val_split, val_skipped = _folder_split(val, names)
    return checked_source(
        folder_name(root),
        names,
        train_split,
        val_split,
        splits=(train.name, val.name),
        places=(str(train), str(val)),
        at=root,
        skipped=skipped_note(train_skipped, train),
        notes=(*skipped_note(val_skipped, val), *order_note(names)),
    )


def _split_folder(root: Path, names: Sequence[str]) -> Path | None:
    """Return the folder in ``root`` named as the first of ``names`` that exists, in any case."""
    folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    by_name = {name.lower(): name for name in folders}  # "val" is preferred to "Val"
    return next((root / by_name[name] for name in names if name in by_name), None)


def _class_names(root: Path) -> tuple[str, ...]:
    return tuple(
        sorted(
            entry.name
            for entry in os.scandir(root)
            if entry.is_dir() and not entry.name.startswith(".")
        )
    )


def _folder_split(root: Path, names: tuple[str, ...]) -> tuple[FolderSplit, Counter[str]]:
    """List the images in class folders, and count other files by kind."""
    paths: list[str] = []
    labels: list[int] = []
    beside = [Path(entry) for entry in os.scandir(root) if not entry.is_dir()]
    skipped = Counter(f"{_kind(file.name)} beside the class folders" for file in beside)
    endings = image_endings()
    for label, name in enumerate(names):
        images = []
        for file in _files(root / name) if (root / name).is_dir() else ():  # val/ may lack one
            kind = _kind(file)
            if kind in endings:
                images.append(file)
            else:
                skipped[kind] += 1
        paths += [os.path.relpath(file, root) for file in images]
        labels += [label] * len(images)
    if not paths:
        sentences = (f"{root} has no images in class folders", *skipped_note(skipped, "it"))
        raise DataError("; ".join(sentences))
    return FolderSplit(root, paths, np.array(labels, dtype=np.int64)), skipped


def _kind(file: str) -> str:
    """Return a file's extension in lower case."""
    base = os.path.basename(file)  # noqa: PTH119 (a million of them)
    if base.startswith("."):
        return "hidden"
    return os.path.splitext(base)[1].lower() or "without an extension"  # noqa: PTH122


def _files(root: Path) -> list[str]:
    """Return every file below ``root``, also in linked folders, sorted.

    Each folder is read once, since a link may point back up.
    """
    seen = {_identity(folder) for folder in root.resolve().parents}
    found: list[str] = []
    for place, folders, files in os.walk(root, onerror=_raise, followlinks=True):
        here = _identity(place)
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders.sort()
        found += [f"{place}/{file}" for file in files]
    return sorted(found)


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116
    return status.st_dev, status.st_ino


def _raise(error: OSError) -> NoReturn:
    raise error
