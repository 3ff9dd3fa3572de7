"""Where images come from: a folder of classes, parquet, or scikit-learn's digits.

Each is listed, labels and names, without decoding anything.
"""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roadmap.train.images import EXTENSIONS, DataError, decode, reason
from roadmap.train.source import VAL_NAMES, Source, check_classes, check_range, val_notes

#: Of names as timm's ``create_dataset`` takes them (``named_sets``).
PREFIXES = ("torch", "hfds", "hfids", "tfds", "wds")


def open_source(path: str | Path | None) -> Source:
    """The source at ``path``, or the digits for none. Raises ``DataError``."""
    if path is None:
        return digits()
    prefix, slash, rest = str(path).partition("/")
    if slash and prefix in PREFIXES and not Path(path).exists():
        from roadmap.train.named_sets import named_set

        return named_set(prefix, rest)
    path = Path(path)
    if not path.is_dir():
        fault = "is not a folder" if path.exists() else "does not exist"
        raise DataError(f"the data folder {path} {fault}")
    if (path / "train").is_dir() and any(entry.is_dir() for entry in os.scandir(path / "train")):
        return folder(path)
    for place in (path, path / "data"):
        if any(place.glob("train*.parquet")):
            return parquet(place, name=path.name)
    raise DataError(f"{path} holds neither train/ with a folder for each class nor train*.parquet")


# -- a folder of classes ------------------------------------------------------------------------


class FolderSplit:
    """Image files; paths are kept as one byte array, since a million strings cost 10 times it."""

    def __init__(self, root: Path, paths: Sequence[str], labels: np.ndarray):
        self.root = str(root)
        self.paths = np.array([os.fsencode(path) for path in paths])
        self.labels = labels

    def name(self, index: int) -> str:
        return os.path.join(self.root, os.fsdecode(bytes(self.paths[index])))  # noqa: PTH118

    def data(self, index: int) -> bytes:
        try:
            return Path(self.name(index)).read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.name(index)} cannot be read: {error.strerror or reason(error)}"
            ) from None

    def detail(self, index: int) -> str:
        try:
            size = os.stat(self.name(index)).st_size  # noqa: PTH116
        except OSError as error:
            raise DataError(f"{self.name(index)} is gone: {error.strerror}") from None
        if not size:
            raise DataError(f"{self.name(index)} is empty")
        return f"{os.fsdecode(bytes(self.paths[index]))} {size}"

    def pixels(self, index: int) -> np.ndarray:
        return decode(self.data(index), self.name(index))


def folder(root: Path) -> Source:
    """ImageNet's layout: ``train/CLASS/*.jpg`` and ``val/CLASS/*.jpg``; classes sorted by name."""
    train, val = root / "train", _val_folder(root)
    names = _class_folders(train)
    train_split = _folder_split(train, names)
    check_classes(train_split.labels, names, str(train))
    strange = sorted(set(_class_folders(val)) - set(names))
    if strange:
        raise DataError(f"{val / strange[0]} is a class that {train} does not have")
    val_split = _folder_split(val, names)
    return Source(
        root.name, names, train_split, val_split, notes=val_notes(val_split.labels, names, val)
    )


def _val_folder(root: Path) -> Path:
    for name in VAL_NAMES:
        if (root / name).is_dir():
            return root / name
    raise DataError(f"{root} has no validation images: add val/ with a folder for each class")


def _class_folders(root: Path) -> tuple[str, ...]:
    return tuple(
        sorted(
            entry.name
            for entry in os.scandir(root)
            if entry.is_dir() and not entry.name.startswith(".")
        )
    )


def _folder_split(root: Path, names: tuple[str, ...]) -> FolderSplit:
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        files = _image_files(root / name)
        paths += [os.path.relpath(file, root) for file in files]
        labels += [label] * len(files)
    if not paths:
        raise DataError(f"{root} holds no image")
    return FolderSplit(root, paths, np.array(labels, dtype=np.int64))


def _image_files(root: Path) -> list[str]:
    found = []
    for place, _, files in os.walk(root):
        found += [
            f"{place}/{file}"
            for file in files
            if file.lower().endswith(EXTENSIONS) and not file.startswith(".")
        ]
    return sorted(found)


# -- parquet, as Hugging Face writes it ---------------------------------------------------------


class ParquetSplit:
    """Encoded images of a parquet column, in memory.

    A worker process gets no copy of them: they are written to a temporary file once, which the
    workers map.
    """

    def __init__(self, files: list[Path], images: Any, labels: np.ndarray, starts: np.ndarray):
        self.files, self.images, self.labels, self.starts = files, images, labels, starts
        self._mapped: str | None = None

    def name(self, index: int) -> str:
        file = int(np.searchsorted(self.starts, index, side="right")) - 1
        return f"{self.files[file]} row {index - int(self.starts[file])}"

    def data(self, index: int) -> bytes:
        data = self.images[index].as_py()
        if not data:
            raise DataError(f"{self.name(index)} has no image bytes")
        return data

    def detail(self, index: int) -> str:
        return str(len(self.data(index)))

    def pixels(self, index: int) -> np.ndarray:
        return decode(self.data(index), self.name(index))

    def __getstate__(self) -> dict[str, Any]:
        if self._mapped is None:
            self._mapped = _written(self.images)
            weakref.finalize(self, Path(self._mapped).unlink, missing_ok=True)
        return {**self.__dict__, "images": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        import pyarrow as pa

        self.__dict__ = state
        self.images = pa.ipc.open_file(pa.memory_map(self._mapped)).read_all().column(0)


def _written(images: Any) -> str:
    """The path of a temporary Arrow file with the column ``images``."""
    import pyarrow as pa

    table = pa.table({"bytes": images})
    handle, path = tempfile.mkstemp(suffix=".arrow")
    try:
        with os.fdopen(handle, "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
    except OSError as error:
        Path(path).unlink()
        raise DataError(
            f"the images ({images.nbytes / 1e9:.1f} GB) cannot be written to {path} for the "
            f"workers: {error.strerror}; set TMPDIR to a larger disk, or use --workers 0"
        ) from None
    return path


def parquet(root: Path, name: str) -> Source:
    """``train*.parquet`` and ``val*.parquet`` with an image and a whole-number label column.

    Class names come from the Hugging Face metadata; without it the labels are their own names.
    """
    train_files = sorted(root.glob("train*.parquet"))
    found = (sorted(root.glob(f"{part}*.parquet")) for part in VAL_NAMES)
    val_files = next((files for files in found if files), None)
    if not val_files:
        raise DataError(f"{root} has no validation images: add val*.parquet")
    train, names = _parquet_split(train_files)
    val, _ = _parquet_split(val_files)
    named = names is not None
    if names is None:
        names = tuple(str(label) for label in range(int(train.labels.max(initial=0)) + 1))
    check_classes(train.labels, names, _files(train_files))
    check_range(val.labels, len(names), _files(val_files))
    notes = val_notes(val.labels, names, _files(val_files))
    return Source(name, names, train, val, named=named, notes=notes)


def _files(files: list[Path]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0].parent}/{files[0].name[:3]}..."


def _parquet_split(files: list[Path]) -> tuple[ParquetSplit, tuple[str, ...] | None]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise DataError(f"{files[0]}: reading parquet needs pyarrow, which is missing") from None
    images, labels, counts, names = [], [], [], None
    for file in files:
        try:
            schema = pq.read_schema(file)
            image_key, label_key, names = _parquet_columns(schema, file)
            table = pq.read_table(file, columns=[image_key, label_key])
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file} is not a readable parquet file: {reason(error)}") from None
        column = table[image_key]
        if pa.types.is_struct(column.type):
            column = pa.chunked_array(
                [chunk.field("bytes") for chunk in column.chunks], pa.binary()
            )
        images.append(column)
        labels.append(_parquet_labels(table[label_key], file))
        counts.append(table.num_rows)
    merged = np.concatenate(labels)
    if not len(merged):
        raise DataError(f"{files[0]} holds no image")
    chunks = [chunk for column in images for chunk in column.chunks]
    starts = np.cumsum([0, *counts[:-1]])
    return ParquetSplit(files, pa.chunked_array(chunks), merged, starts), names


def _parquet_columns(schema: Any, file: Path) -> tuple[str, str, tuple[str, ...] | None]:
    """Image column, label column and class names: from the metadata where there is some."""
    image_key, label_key, names = "image", "label", None
    try:
        text = (schema.metadata or {}).get(b"huggingface", b"{}")
        features = json.loads(text).get("info", {}).get("features", {})
    except ValueError:
        features = {}
    for key, feature in features.items():
        if feature.get("_type") == "Image":
            image_key = key
        if feature.get("_type") == "ClassLabel" and names is None:
            label_key, names = key, tuple(feature.get("names") or ()) or None
    for key in (image_key, label_key):
        if key not in schema.names:
            raise DataError(f"{file} has no column {key!r}; it has {', '.join(schema.names)}")
    return image_key, label_key, names


def _parquet_labels(column: Any, file: Path) -> np.ndarray:
    import pyarrow as pa

    if not pa.types.is_integer(column.type) or column.null_count:
        fault = "missing values" if column.null_count else f"type {column.type}"
        raise DataError(f"{file}: the labels have {fault}; they must be whole numbers from 0")
    return column.to_numpy().astype(np.int64)


# -- digits -------------------------------------------------------------------------------------


class ArraySplit:
    """Images in memory, uint8 (N, H, W, 3)."""

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


def digits() -> Source:
    """scikit-learn's 1,797 handwritten digits, 8x8 pixels, every fifth of a class held out.

    Source: UCI Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998).
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise DataError(
            "the digits need scikit-learn, which is missing: install it or give --data"
        ) from None
    loaded = load_digits()
    pixels = (loaded.images * (255 / 16)).round().astype(np.uint8)
    images = np.repeat(pixels[..., None], 3, axis=-1)
    labels = loaded.target
    # The set comes writer by writer, so that every fifth of a class is an even sample.
    held_out = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        held_out[np.flatnonzero(labels == label)[4::5]] = True
    return Source(
        "digits",
        tuple("0123456789"),
        ArraySplit("digits training", images[~held_out], labels[~held_out]),
        ArraySplit("digits validation", images[held_out], labels[held_out]),
        mirrors=False,
    )
