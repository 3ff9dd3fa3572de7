"""Data sources: a folder of classes, parquet files, a named set, or scikit-learn's digits.

Labels and names are listed without decoding any image.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from roadmap.train.data.folders import class_folders
from roadmap.train.data.images import DataError
from roadmap.train.data.parquet import parquet
from roadmap.train.data.split import Source

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
    source = class_folders(path) or parquet(path)
    if source is None:
        raise DataError(f"{path} has neither train/ with one folder per class nor train*.parquet")
    return source


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


def digits_table() -> np.ndarray:
    """Return scikit-learn's digits, (1797, 65): 64 values from 0 to 16, and the label.

    Raises ``DataError`` if scikit-learn is not installed.
    """
    spec = find_spec("sklearn")  # importing it would take a second
    if spec is None:
        raise DataError("the digits data set needs scikit-learn: install it, or use --data")
    path = Path(str(spec.origin)).parent / "datasets" / "data" / "digits.csv.gz"
    return np.loadtxt(path, delimiter=",")


def digits() -> Source:
    """Open scikit-learn's 1,797 handwritten digits, 8x8 pixels; every fifth per class is held out.

    Source: UCI Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998).
    """
    table = digits_table()
    pixels = (table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)
    images = np.repeat(pixels[..., None], 3, axis=-1)
    labels = table[:, -1]
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
