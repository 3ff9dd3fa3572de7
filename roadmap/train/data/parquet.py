"""Images and labels in parquet files, as the ``datasets`` library writes them."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roadmap.train.data.images import DataError, reason
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
    split_files,
)


class ParquetSplit(EncodedSplit):
    """Encoded images of a parquet column, in memory.

    Worker processes do not get copies: the images are written once to a temporary file, which the
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
            raise DataError(f"{self.name(index)} has no image data")
        return data

    def detail(self, index: int) -> str:
        return str(len(self.data(index)))

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
    """Write the column ``images`` to a temporary Arrow file; return its path."""
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


def parquet(folder: Path) -> Source | None:
    """Open ``train*.parquet`` and ``val*.parquet`` with an image and an integer label column, in
    ``folder`` or its ``data/``. Returns None if there are none.

    Class names come from the Hugging Face metadata [default: the labels as text]. Files that number
    the same names differently are renumbered like the first one. Raises ``DataError``.
    """
    for root in (folder, folder / "data"):
        train_name, train_files = split_files(root, TRAIN_NAMES, ".parquet")
        if train_files:
            break
    else:
        return None
    val_name, val_files = split_files(root, VAL_NAMES, ".parquet")
    if not val_files:
        raise DataError(f"{root} has no validation images: add val*.parquet")
    columns = _columns(_schema(train_files[0]))
    train_tables = [_read(file, columns) for file in train_files]
    val_tables = [_read(file, columns) for file in val_files]
    notes = _same_names(train_tables, val_tables)
    train_at, val_at = file_pattern(train_name, train_files), file_pattern(val_name, val_files)
    return checked_source(
        folder_name(folder),
        next((table.names for table in train_tables if table.names), None),
        _split(train_tables),
        _split(val_tables),
        splits=(train_name, val_name),
        places=(train_at, val_at),
        at=root,
        taken=(train_at, f"{val_at}, {columns.taken}"),
        notes=(*other_files_note(root, ".parquet", train_files + val_files), *notes),
    )


@dataclass(frozen=True)
class _Columns:
    """The columns with images and labels; ``others`` are further class labels."""

    image: str
    label: str
    others: tuple[str, ...]

    @property
    def taken(self) -> str:
        more = f" (not {', '.join(self.others)})" if self.others else ""
        return f"labels from the column {self.label!r}{more}"


@dataclass
class _Table:
    """Return a file's encoded images (N,), labels (N,) and class names, if any."""

    file: Path
    images: Any
    labels: np.ndarray
    names: tuple[str, ...] | None


def _columns(schema: Any) -> _Columns:
    import pyarrow as pa

    features = _features(schema)
    images = [key for key, feature in features.items() if feature.get("_type") == "Image"]
    classes = [key for key, feature in features.items() if feature.get("_type") == "ClassLabel"]
    image = "image" if "image" in images or not images else images[0]
    label = "label"
    # A column ``label`` is preferred to other class labels, if it has integers.
    is_there = label in schema.names and pa.types.is_integer(schema.field(label).type)
    if classes and label not in classes and not is_there:
        label = classes[0]
    return _Columns(image, label, tuple(key for key in classes if key != label))


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """Return the ``datasets`` library's metadata of each column."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return {
            key: feature
            for key, feature in features.items()
            if key in schema.names and isinstance(feature, dict)
        }
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}


def _class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    names = _features(schema).get(column, {}).get("names")
    return tuple(map(str, names)) or None if isinstance(names, list) else None


def _schema(file: Path) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise DataError(
            f"{file}: reading parquet files needs pyarrow: pip install pyarrow"
        ) from None
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} is not a readable parquet file: {reason(error)}") from None


def _read(file: Path, columns: _Columns) -> _Table:
    schema = _schema(file)
    import pyarrow as pa
    import pyarrow.parquet as pq

    for key in (columns.image, columns.label):
        if key not in schema.names:
            raise DataError(f"{file} has no column {key!r}; it has {', '.join(schema.names)}")
    try:
        table = pq.read_table(file, columns=[columns.image, columns.label])
        images = _image_bytes(table[columns.image], columns.image, file)
        labels = _labels(table[columns.label], file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} is not a readable parquet file: {reason(error)}") from None
    return _Table(file, images, labels, _class_names(schema, columns.label))


def _image_bytes(column: Any, key: str, file: Path) -> Any:
    """Return a column's encoded images: its values or their ``bytes``, of any binary type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    kinds = (
        *(types.is_binary, types.is_large_binary, types.is_binary_view),
        types.is_fixed_size_binary,
    )
    column = _decoded(column)
    if types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = _decoded(pc.struct_field(column, "bytes"))
    all_missing = 0 < len(column) == column.null_count
    if any(is_kind(column.type) for is_kind in kinds) and not all_missing:
        return column.cast(pa.large_binary())
    held = "null" if all_missing else column.type
    raise DataError(
        f"the column {key!r} of {file} has {held} instead of image bytes: store the bytes of "
        "the image files in it (as push_to_hub of the datasets library does), or use a folder "
        "with train/CLASS and val/CLASS"
    )


def _decoded(column: Any) -> Any:
    """Return ``column`` without dictionary encoding."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _labels(column: Any, file: Path) -> np.ndarray:
    import pyarrow as pa

    column = _decoded(column)
    if not pa.types.is_integer(column.type) or column.null_count:
        fault = "missing values" if column.null_count else f"type {column.type}"
        raise DataError(f"{file}: the labels have {fault}; they must be whole numbers from 0")
    return column.to_numpy().astype(np.int64)


def _same_names(*splits: Sequence[_Table]) -> list[str]:
    """Number the classes of every file like the first file that names them.

    Returns a note about files without names. Raises ``DataError``.
    """
    tables = [table for split in splits for table in split]
    first = next((table for table in tables if table.names), None)
    if first is None or first.names is None:
        return []
    for table in tables:
        if table.names:
            table.labels = renumber(table.labels, table.names, first.names, table.file, first.file)
            table.names = first.names
    unnamed = [table.file for table in tables if not table.names]
    if not unnamed:
        return []
    more = f" (and {len(unnamed) - 1} more)" if len(unnamed) > 1 else ""
    return [
        f"{unnamed[0]}{more} does not name its classes, but {first.file} does: assuming that they "
        "have the same order"
    ]


def _split(tables: list[_Table]) -> ParquetSplit:
    import pyarrow as pa

    labels = np.concatenate([table.labels for table in tables])
    files = [table.file for table in tables]
    if not len(labels):
        raise DataError(f"{files[0]} has no images")
    chunks = [chunk for table in tables for chunk in table.images.chunks]
    starts = np.cumsum([0, *(len(table.labels) for table in tables[:-1])])
    return ParquetSplit(files, pa.chunked_array(chunks), labels, starts)
