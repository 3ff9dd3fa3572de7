"""Columns of parquet files that hold images and labels, of every type."""

from __future__ import annotations

import cases
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_sets import assert_right, opened, refusal

from roadmap.train.data.sources import open_source

BYTES = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())]
PATHS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]


@pytest.mark.parametrize("kind", BYTES, ids=str)
@pytest.mark.parametrize("path", [None, *PATHS], ids=str)
def test_image_bytes_of_every_type_are_read(tmp_path, kind, path):
    def column(images):
        data = pa.array(images, pa.binary()).cast(kind)
        if path is None:
            return data
        names = pa.array([f"{number}.png" for number in range(len(images))]).cast(path)
        return pa.StructArray.from_arrays([names, data], ["path", "bytes"])

    try:
        root = cases.cat_dog_tables(tmp_path, column)
    except pa.ArrowNotImplementedError as error:  # an older pyarrow
        pytest.skip(str(error))
    assert_right(open_source(root))


def test_large_binary_structs_train(tmp_path):
    data = opened(cases.large_binary_structs(tmp_path))
    assert next(data.train_batches(0))[0].shape == (64, 3, 32, 32)


def test_files_of_different_types_are_read_together(tmp_path):
    labels = {"label": (("cat", "dog"), (0, 1))}
    large = pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])
    tables = {
        "train-0": cases.class_table(labels),
        "train-1": cases.class_table(labels, 2, lambda images: pa.array(images, pa.binary())),
        "val": cases.class_table(labels, 5, lambda i: cases.image_structs(i).cast(large)),
    }
    assert_right(open_source(cases.write_tables(tmp_path, **tables)), 28)


COLUMNS = {
    "path alone": lambda images: pa.array([{"path": "x.png"} for _ in images]),
    "null bytes": lambda images: pa.array([{"bytes": None, "path": "x.png"} for _ in images]),
    "no bytes": lambda images: cases.image_structs([None] * len(images)),
    "paths": lambda images: pa.array(["x.png" for _ in images]),
    "nothing": lambda images: pa.nulls(len(images)),
    "lists": lambda images: pa.array([list(i[:9]) for i in images], pa.list_(pa.uint8())),
    "views": lambda images: pa.array([list(i[:9]) for i in images], pa.list_view(pa.uint8())),
    "text": lambda images: pa.array([{"bytes": "x", "path": "x.png"} for _ in images]),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_without_image_bytes_is_named(tmp_path, column):
    try:
        root = cases.cat_dog_tables(tmp_path, COLUMNS[column])
    except pa.ArrowNotImplementedError as error:  # an older pyarrow
        pytest.skip(str(error))
    message = refusal(root)
    assert message.startswith(f"the column 'image' of {tmp_path}/train.parquet has ")
    assert "store the bytes" in message


def test_a_missing_struct_is_a_row_without_bytes(tmp_path):
    def column(images):
        return pa.array([None, *({"bytes": data, "path": None} for data in images[1:])])

    said = refusal(cases.cat_dog_tables(tmp_path, column))
    assert f"{tmp_path}/train.parquet row 0 has no image data" in said
    assert f"{tmp_path}/validation.parquet row 0 has no image data" in said


def test_the_column_named_image_goes_first(tmp_path):
    table = cases.class_table({"label": (("cat", "dog"), (0, 1))}, 2)
    masks = cases.image_structs([cases.encoded(cases.picture(2))] * 4)
    table = table.append_column("mask", masks)
    text = table.schema.metadata[b"huggingface"].decode()
    text = text.replace('"label":', '"mask": {"_type": "Image"}, "label":')
    table = table.replace_schema_metadata({"huggingface": text})
    assert_right(open_source(cases.write_tables(tmp_path, train=table, val=table)), 4, 4)


def test_whole_numbers_of_every_type_are_labels(tmp_path):
    kinds = (pa.uint8(), pa.int32(), None)  # None: dictionary-encoded
    for number, kind in enumerate(kinds):
        table = cases.class_table({"label": (("cat", "dog"), (0, 1))}, 2)
        label = pa.array([0, 0, 1, 1], pa.int64())
        label = label.dictionary_encode() if kind is None else label.cast(kind)
        changed = table.set_column(1, "label", label)
        root = tmp_path / str(number)
        root.mkdir()
        for stem in ("train", "val"):
            pq.write_table(
                changed.replace_schema_metadata(table.schema.metadata), root / f"{stem}.parquet"
            )
        assert_right(open_source(root), 4, 4)
