"""Data sets by the names that timm's ``create_dataset`` gives them, and WebDataset shards.

``torch/cifar10`` and its like come through torchvision, into ``data/``; ``hfds/NAME`` through the
Hugging Face hub and its cache; ``wds/FOLDER`` reads tar shards of a local folder. timm's streams
(``hfids``, ``tfds``) give no image by its number, so a run could not continue where it stopped:
they are refused.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from roadmap.train.images import EXTENSIONS, DataError, decode, reason, to_rgb
from roadmap.train.source import VAL_NAMES, Source, check_classes, check_range, val_notes

#: Where torchvision's sets are kept.
ROOT = "data"
#: Sets of written characters: mirrored, they are others.
UNMIRRORED = ("mnist", "kmnist", "qmnist")


def named_set(prefix: str, name: str) -> Source:
    """The set ``prefix/name``. Raises ``DataError`` where it cannot be had."""
    openers: dict[str, Callable[[str], Source]] = {
        "torch": torchvision_set,
        "hfds": hugging_face_set,
        "wds": shards,
    }
    if prefix not in openers:
        raise DataError(
            f"{prefix}/{name} is a stream, in which a run cannot continue where it stopped: "
            "use hfds/NAME, a folder or parquet"
        )
    return openers[prefix](name)


def torchvision_set(name: str) -> Source:
    """CIFAR-10, CIFAR-100, MNIST and its like, or ImageNet, as torchvision stores them."""
    train = _created("torch/" + name, root=ROOT, split="train", download=True)
    val = _created("torch/" + name, root=ROOT, split="val", download=True)
    classes = getattr(train, "classes", None) or range(int(max(train.targets)) + 1)
    names = tuple(", ".join(c) if isinstance(c, tuple) else str(c) for c in classes)
    splits = (DatasetSplit(f"torch/{name} {part}", data) for part, data in _parts(train, val))
    return _source(f"torch/{name}", names, *splits, mirrors=name not in UNMIRRORED)


def hugging_face_set(name: str) -> Source:
    """A set on the Hugging Face hub with an image and a class label column."""
    train = _hugging_face(name, "train")
    val = _first_of(lambda part: _hugging_face(name, part), VAL_NAMES[1:])
    by_index = {label: text for text, label in train.reader.class_to_idx.items()}
    names = tuple(by_index.get(label, str(label)) for label in range(max(by_index, default=-1) + 1))
    splits = (ReaderSplit(f"hfds/{name} {part}", data) for part, data in _parts(train, val))
    return _source(f"hfds/{name}", names, *splits)


def _parts(train: Any, val: Any) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("training", train), ("validation", val)


def _source(name: str, names: tuple[str, ...], train: Any, val: Any, **options: Any) -> Source:
    named = bool(names)
    if not named:
        names = tuple(str(label) for label in range(int(train.labels.max()) + 1))
    check_classes(train.labels, names, name)
    check_range(val.labels, len(names), name)
    notes = val_notes(val.labels, names, name)
    return Source(name, names, train, val, named=named, notes=notes, **options)


def _hugging_face(name: str, split: str) -> Any:
    keys = ("image", "img")  # the second one in CIFAR's
    return _first_of(lambda key: _created("hfds/" + name, split=split, input_key=key), keys)


def _first_of(attempt: Callable[[str], Any], choices: tuple[str, ...]) -> Any:
    """The first attempt that succeeds, or the error of the first."""
    errors = []
    for choice in choices:
        try:
            return attempt(choice)
        except DataError as error:
            errors.append(error)
    raise errors[0]


def _created(name: str, **options: Any) -> Any:
    from timm.data import create_dataset

    try:
        return create_dataset(name, **options)
    except Exception as error:  # no network, no such set, no such package: all end here
        raise DataError(f"{name} cannot be had: {reason(error)}") from None


class DatasetSplit:
    """A torchvision dataset of (PIL image, label) pairs."""

    def __init__(self, name: str, dataset: Any):
        self._name, self.dataset = name, dataset
        self.labels = np.asarray(dataset.targets, dtype=np.int64)

    def name(self, index: int) -> str:
        return f"{self._name} image {index}"

    def data(self, index: int) -> bytes:
        return self.pixels(index).tobytes()

    def detail(self, index: int) -> str:
        return self.name(index)

    def pixels(self, index: int) -> np.ndarray:
        try:
            return np.asarray(to_rgb(self.dataset[index][0]))
        except Exception as error:
            raise DataError(f"{self.name(index)} cannot be read: {reason(error)}") from None


class ReaderSplit:
    """What a timm reader holds. Read past its dataset, which skips over unreadable images."""

    def __init__(self, name: str, dataset: Any):
        self._name, self.reader = name, dataset.reader
        self.labels = np.fromiter(self.reader.iter_targets(), dtype=np.int64)

    def name(self, index: int) -> str:
        return f"{self._name} image {index}"

    def data(self, index: int) -> bytes:
        try:
            with self.reader[index][0] as file:
                return file.read()
        except Exception as error:
            raise DataError(f"{self.name(index)} cannot be read: {reason(error)}") from None

    def detail(self, index: int) -> str:
        return self.name(index)

    def pixels(self, index: int) -> np.ndarray:
        return decode(self.data(index), self.name(index))


# -- WebDataset ---------------------------------------------------------------------------------


class ShardSplit:
    """Images inside tar files, read from their offsets: any image by its number."""

    def __init__(self, files: list[Path], members: list[tuple[int, str, int, int, int]]):
        self.files = files
        self.names = [member[1] for member in members]
        self.places = np.array([(m[0], m[2], m[3]) for m in members], dtype=np.int64)
        self.labels = np.array([member[4] for member in members], dtype=np.int64)

    def name(self, index: int) -> str:
        return f"{self.files[self.places[index, 0]]}:{self.names[index]}"

    def data(self, index: int) -> bytes:
        file, offset, size = (int(number) for number in self.places[index])
        try:
            with self.files[file].open("rb") as stream:
                stream.seek(offset)
                data = stream.read(size)
        except OSError as error:
            raise DataError(f"{self.name(index)} cannot be read: {error.strerror}") from None
        if len(data) < size:
            raise DataError(f"{self.name(index)} is cut short")
        return data

    def detail(self, index: int) -> str:
        return f"{self.names[index]} {self.places[index, 2]}"

    def pixels(self, index: int) -> np.ndarray:
        return decode(self.data(index), self.name(index))


def shards(folder: str) -> Source:
    """``train*.tar`` and ``val*.tar`` in ``folder``: an image and its ``.cls`` a sample."""
    root = Path(folder)
    train = _shard_split(sorted(root.glob("train*.tar")), root, "train")
    found = (sorted(root.glob(f"{part}*.tar")) for part in VAL_NAMES)
    val = _shard_split(next((files for files in found if files), []), root, "val")
    return _source(root.name, (), train, val)


def _shard_split(files: list[Path], root: Path, part: str) -> ShardSplit:
    if not files:
        raise DataError(f"{root} has no {part}*.tar")
    members = [member for number, file in enumerate(files) for member in _members(number, file)]
    if not members:
        raise DataError(f"{files[0]} holds no image")
    return ShardSplit(files, members)


def _members(number: int, file: Path) -> list[tuple[int, str, int, int, int]]:
    """(file number, name, offset, size, label) of each image of a tar file, in its order."""
    images: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                # WebDataset: what stands before the first dot of the file name is the sample.
                place, _, base = member.name.rpartition("/")
                stem, _, ending = base.partition(".")
                key = f"{place}/{stem}"
                if f".{ending.lower()}" in EXTENSIONS:
                    images[key] = (member.name, member.offset_data, member.size)
                elif ending == "cls":
                    labels[key] = int(tar.extractfile(member).read())
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DataError(f"{file} is not a readable shard: {reason(error)}") from None
    for key, (name, _, _) in images.items():
        if key not in labels:
            raise DataError(f"{file}:{name} has no .cls file beside it")
    return [(number, *found, labels[key]) for key, found in images.items()]
