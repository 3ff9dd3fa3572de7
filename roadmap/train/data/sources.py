"""Data sources: a folder of classes, parquet files, or scikit-learn's digits.

Labels and names are listed without decoding any image.
"""

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
from roadmap.train.data.parquet import parquet
from roadmap.train.data.split import (
    TRAIN_NAMES,
    VAL_NAMES,
    EncodedSplit,
    Source,
    checked_source,
    folder_name,
    skipped_note,
    split_files,
    split_folder,
)

#: Prefixes of names as in timm's ``create_dataset`` (``named_sets``).
PREFIXES = ("torch", "hfds", "hfids", "tfds", "wds")


def open_source(path: str | Path | None) -> Source:
    """Open the source at ``path`` [default: the digits]. Raises ``DataError``."""
    try:
        return _opened(path)
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror}") from None


def _named(path: str | Path) -> tuple[str, str]:
    """Split a name such as torch/cifar10 into (prefix, name); a folder gives ("", path)."""
    prefix, slash, rest = str(path).partition("/")
    if slash and prefix in PREFIXES and not _exists(path):
        return prefix, rest
    return "", str(path)


def _exists(path: str | Path) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # such as a name that is too long
        return False


def _opened(path: str | Path | None) -> Source:
    if path is None:
        return digits()
    if not str(path):
        raise DataError("--data is empty; use a folder or a name such as torch/cifar10")
    prefix, name = _named(path)
    if prefix:
        from roadmap.train.data.named_sets import named_set

        return named_set(prefix, name)
    path = Path(path)
    if not path.is_dir():
        fault = "is not a folder" if path.exists() else "does not exist"
        raise DataError(
            f"the data folder {path} {fault}; --data takes a folder, or a name such as "
            "torch/cifar10"
        )
    train, val = split_folder(path, TRAIN_NAMES), split_folder(path, VAL_NAMES)
    if train is not None and _class_folders(train):
        return folder(path, train, val)
    for place in (path, path / "data"):
        if split_files(place, TRAIN_NAMES, ".parquet")[1]:
            return parquet(place, folder_name(path))
    raise DataError(f"{path} has neither train/ with one folder per class nor train*.parquet")


# -- a folder of classes ------------------------------------------------------------------------


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


def folder(root: Path, train: Path, val: Path | None) -> Source:
    """Open a folder as of ImageNet: ``train/CLASS/*.jpg``, ``val/CLASS/*.jpg``, sorted classes."""
    if val is None:
        raise DataError(f"{root} has no validation images: add val/ with one folder per class")
    names = _class_folders(train)
    train_split, train_skipped = _folder_split(train, names)
    strange = sorted(set(_class_folders(val)) - set(names))
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


def _class_folders(root: Path) -> tuple[str, ...]:
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


# -- digits -------------------------------------------------------------------------------------


class ArraySplit:
    """Images in memory, uint8 (N, H, W, 3)."""

    exif_orientation = False

    def __init__(self, name: str, images: np.ndarray, labels: np.ndarray):
        self._name, self.images, self.labels = name, images, labels.astype(np.int64)

    def name(self, index: int) -> str:
        return f"{self._name} image {index}"

    def data(self, index: int) -> bytes:
        return self.images[index].tobytes()

    def detail(self, index: int) -> str:
        return str(self.images[index].nbytes)

    def pixels(self, index: int) -> np.ndarray:
        return self.images[index]


DIGITS = "digits"


def digits() -> Source:
    """Open scikit-learn's 1,797 handwritten digits, 8x8 pixels; every fifth per class is held out.

    Source: UCI Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998).
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise DataError(
            "the digits data set needs scikit-learn: install it, or use --data"
        ) from None
    loaded = load_digits()
    pixels = (loaded.images * (255 / 16)).round().astype(np.uint8)
    images = np.repeat(pixels[..., None], 3, axis=-1)
    labels = loaded.target
    # The set is sorted by writer, so every fifth image per class is an even sample.
    held_out = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        held_out[np.flatnonzero(labels == label)[4::5]] = True
    return Source(
        DIGITS,
        tuple("0123456789"),
        ArraySplit("digits training", images[~held_out], labels[~held_out]),
        ArraySplit("digits validation", images[held_out], labels[held_out]),
        mirrors=False,
    )
