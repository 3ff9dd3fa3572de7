"""Data sets by their names in timm's ``create_dataset``, and WebDataset shards.

``torch/cifar10`` and ``torch/cifar100`` are downloaded here to ``data/``, others by torchvision,
``hfds/NAME`` by the Hugging Face hub to its cache; ``wds/FOLDER`` reads tar shards in a local
folder. timm's streams (``hfids``, ``tfds``) are refused: they have no access by index, so a run
could not be resumed.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from models.text import said
from roadmap.train.data.downloads import DOWNLOADS, ROOT, fetch
from roadmap.train.data.images import DataError, image_endings, reason, to_rgb, upright
from roadmap.train.data.split import (
    TRAIN_NAMES,
    VAL_NAMES,
    EncodedSplit,
    Source,
    checked_source,
    file_pattern,
    folder_name,
    other_files_note,
    renumber,
    skipped_note,
    split_files,
)

T = TypeVar("T")

#: Sets of written characters, which change when mirrored.
UNMIRRORED = ("mnist", "kmnist", "qmnist")


def named_set(prefix: str, name: str) -> Source:
    """Open the set ``prefix/name``. Raises ``DataError`` if it is not available."""
    openers: dict[str, Callable[[str], Source]] = {
        "torch": torchvision_set,
        "hfds": hugging_face_set,
        "wds": shards,
    }
    if prefix not in openers:
        raise DataError(
            f"{prefix}/{name} is a stream, on which a run cannot be resumed: use hfds/NAME, a "
            "folder or parquet files"
        )
    return openers[prefix](name)


def torchvision_set(name: str) -> Source:
    """Open CIFAR-10, CIFAR-100, MNIST and similar sets, or ImageNet, as stored by torchvision."""
    full = f"torch/{name}"
    if full in DOWNLOADS:
        fetch(full)
    train = _created(full, root=ROOT, split="train", download=True)
    val = _created(full, root=ROOT, split="val", download=True)
    # Sets that take ``train=False`` have a test split but no validation split.
    splits = ("train", "test" if getattr(val, "train", None) is False else "val")
    names = _class_names(train), _class_names(val)
    parts = (DatasetSplit(f"{full} {part}", data) for part, data in _parts(train, val))
    return _source(full, names, *parts, splits=splits, mirrors=name not in UNMIRRORED)


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Return a torchvision dataset's class names; ImageNet's are tuples of words."""
    classes = getattr(dataset, "classes", None) or ()
    return tuple(", ".join(c) if isinstance(c, tuple) else str(c) for c in classes)


def hugging_face_set(name: str) -> Source:
    """Open a set on the Hugging Face hub that has an image and a class label column."""
    full = f"hfds/{name}"
    key, train = _first_of(
        lambda key: _created(full, split="train", input_key=key),
        ("image", "img"),  # CIFAR uses the second
    )
    part, val = _first_of(
        lambda part: _created(full, split=part, input_key=key),
        sorted(VAL_NAMES, key=lambda part: part != "validation"),  # the most common one first
    )
    names = _reader_names(train.reader), _reader_names(val.reader)
    parts = (ReaderSplit(f"{full} {split}", data) for split, data in _parts(train, val))
    return _source(full, names, *parts, splits=("train", part))


def _reader_names(reader: Any) -> tuple[str, ...]:
    by_index = {label: text for text, label in reader.class_to_idx.items()}
    return tuple(by_index.get(label, str(label)) for label in range(max(by_index, default=-1) + 1))


def _parts(train: Any, val: Any) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("training", train), ("validation", val)


def _source(
    name: str,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    train: Any,
    val: Any,
    *,
    splits: tuple[str, str],
    places: tuple[str, str] | None = None,
    **options: Any,
) -> Source:
    """Build a ``Source``. ``names`` are the class names of both splits, or empty; ``places`` are
    the splits' names in messages [default: their own names]."""
    places = places or (f"the split {splits[0]} of {name}", f"the split {splits[1]} of {name}")
    classes, val_classes = names
    if classes and val_classes:
        val.labels = renumber(val.labels, val_classes, classes, places[1], places[0])
    return checked_source(
        name, classes or None, train, val, splits=splits, places=places, at=name, **options
    )


def _first_of(attempt: Callable[[str], T], choices: Sequence[str]) -> tuple[str, T]:
    """Return the first choice that succeeds, with its result, or raise the first one's error.

    An unreachable set ends the search, since it does not reveal its splits and columns.
    """
    errors = []
    for choice in choices:
        try:
            return choice, attempt(choice)
        except UnreachableError:
            raise
        except DataError as error:
            errors.append(error)
    raise errors[0]


class UnreachableError(DataError):
    """A set that could not be opened: no internet connection, unknown set, full disk."""


def _created(name: str, **options: Any) -> Any:
    from timm.data import create_dataset

    try:
        return create_dataset(name, **options)
    except Exception as error:  # no internet, unknown set, missing package
        kind = UnreachableError if isinstance(error, OSError) else DataError
        raise kind(f"{name} is not available: {reason(error)}") from None


class DatasetSplit:
    """A torchvision dataset of (PIL image, label) pairs."""

    exif_orientation = True

    def __init__(self, name: str, dataset: Any):
        self._name, self.dataset = name, dataset
        self.labels = np.asarray(dataset.targets, dtype=np.int64)

    def name(self, index: int) -> str:
        return f"{self._name} image {index}"

    def data(self, index: int) -> bytes:
        return np.asarray(self._image(index)).tobytes()

    def detail(self, index: int) -> str:
        return self.name(index)

    def pixels(self, index: int) -> np.ndarray:
        image = self._image(index)
        return np.asarray(upright(image) if self.exif_orientation else image)

    def _image(self, index: int) -> Image.Image:
        try:
            return to_rgb(self.dataset[index][0])
        except Exception as error:
            raise DataError(f"{self.name(index)} cannot be read: {reason(error)}") from None


class ReaderSplit(EncodedSplit):
    """A timm reader, without timm's dataset, which would skip unreadable images."""

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


# -- WebDataset ---------------------------------------------------------------------------------


class ShardSplit(EncodedSplit):
    """Images inside tar files, read by offset, in any order."""

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
            raise DataError(f"{self.name(index)} is truncated: copy or download the file again")
        return data

    def detail(self, index: int) -> str:
        return f"{self.names[index]} {self.places[index, 2]}"


def shards(folder: str) -> Source:
    """Open ``train*.tar`` and ``val*.tar`` in ``folder``: one image and ``.cls`` per sample."""
    root = Path(folder)
    train_name, train_files = split_files(root, TRAIN_NAMES, ".tar")
    val_name, val_files = split_files(root, VAL_NAMES, ".tar")
    train, train_skipped = _shard_split(train_files, root, train_name)
    val, val_skipped = _shard_split(val_files, root, val_name)
    places = file_pattern(train_name, train_files), file_pattern(val_name, val_files)
    return _source(
        folder_name(root),
        ((), ()),
        train,
        val,
        splits=(train_name, val_name),
        places=places,
        notes=(
            *other_files_note(root, ".tar", train_files + val_files),
            *skipped_note(train_skipped, places[0]),
            *skipped_note(val_skipped, places[1]),
        ),
    )


def _shard_split(files: list[Path], root: Path, part: str) -> tuple[ShardSplit, Counter[str]]:
    if not files:
        raise DataError(f"{root} has no {part}*.tar files")
    skipped: Counter[str] = Counter()
    members = [m for number, file in enumerate(files) for m in _members(number, file, skipped)]
    if not members:
        sentences = (f"{files[0]} has no images", *skipped_note(skipped, "it"))
        raise DataError("; ".join(sentences))
    return ShardSplit(files, members), skipped


def _members(
    number: int, file: Path, skipped: Counter[str]
) -> list[tuple[int, str, int, int, int]]:
    """Return (file number, name, offset, size, label) of each image in a tar file, in order.

    Counts other files in ``skipped``, by extension.
    """
    images: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int] = {}
    endings = image_endings()
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    if not member.isdir():
                        skipped["links and special files"] += 1
                    continue
                # WebDataset: the file name up to the first dot is the sample.
                place, _, base = member.name.rpartition("/")
                stem, _, ending = base.partition(".")
                key = f"{place}/{stem}"
                if f".{ending.lower()}" in endings:
                    before = images.get(key, (member.name,))[0]
                    if before != member.name:
                        raise DataError(
                            f"{file}: {before} and {member.name} are two images of one sample; "
                            "remove one of them"
                        )
                    images[key] = (member.name, member.offset_data, member.size)
                elif ending == "cls":
                    text = tar.extractfile(member)
                    assert text is not None  # it is a file
                    labels[key] = _label(text.read(1000), f"{file}:{member.name}")
                else:
                    skipped[f".{ending.lower()}" if ending else "without an extension"] += 1
    except DataError:
        raise
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DataError(f"{file} is not a readable shard: {reason(error)}") from None
    for key, (name, _, _) in images.items():
        if key not in labels:
            raise DataError(f"{file}:{name} has no .cls file beside it")
    return [(number, *found, labels[key]) for key, found in images.items()]


def _label(text: bytes, name: str) -> int:
    if not text.strip().isdigit() or int(text) > np.iinfo(np.int64).max:
        held = said(text.decode(errors="replace"))
        raise DataError(f"{name} contains {held}; use the number of the class, from 0")
    return int(text)
