"""Folders, parquet, shards and names: read right, or refused in one sentence with the name."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_sets import (
    encoded,
    make_folder,
    make_parquet,
    opened,
    picture,
    refusal,
    samples,
    write_shard,
)
from PIL import Image

from roadmap.train.data import named_sets
from roadmap.train.data.batches import DataError
from roadmap.train.data.images import decode
from roadmap.train.data.sources import open_source

# -- what is read right -------------------------------------------------------------------------


def test_folder(tmp_path):
    data = opened(make_folder(tmp_path / "pets"))
    assert data.info.name == "pets"
    assert data.info.class_names == ("cat", "dog")
    assert (data.info.num_train, data.info.num_val) == (6, 4)
    _, labels = next(data.val_batches(10))
    assert labels.tolist() == [0, 0, 1, 1]


def test_folder_leaves_other_files_alone(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "train" / "cat" / "Thumbs.db").write_bytes(b"no image")
    (tmp_path / "train" / "cat" / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / "readme.txt").write_text("about")
    assert opened(tmp_path).info.num_train == 6


def test_folder_with_validation_under_another_name(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "val").rename(tmp_path / "validation")
    assert opened(tmp_path).info.num_val == 4


def test_parquet_with_names(tmp_path):
    data = opened(make_parquet(tmp_path, [1, 0, 1], names=("cat", "dog")))
    assert data.info.classes == data.info.class_names == ("cat", "dog")
    _, labels = next(data.val_batches(10))
    assert labels.tolist() == [1, 0, 1]
    wanted = np.asarray(picture(1))
    assert (data._train.pixels[1].permute(0, 2, 1).numpy() == wanted).all()


def test_parquet_without_names_and_in_a_data_folder(tmp_path):
    make_parquet(tmp_path / "data", [1, 0, 2], part="test")
    info = opened(tmp_path).info
    assert (info.class_names, info.classes) == (("0", "1", "2"), None)


def test_classes_missing_from_val_are_noted(tmp_path):
    source = open_source(make_parquet(tmp_path, [0, 1, 2], [0, 2], names=("cat", "dog", "cow")))
    assert len(source.class_names) == 3
    (note,) = source.notes
    assert "no images of 1 of the 3 classes: dog" in note


def test_images_of_different_sizes(tmp_path):
    make_folder(tmp_path)
    for number, size in enumerate([(1, 1), (3, 200), (300, 2), (90, 90)]):
        picture(number, size).save(tmp_path / "train" / "cat" / f"size{number}.png")
    data = opened(tmp_path)
    assert data._train.sizes.max() == 64  # twice the crop; larger ones were shrunk
    images, _ = next(data.train_batches(0))
    assert images.isfinite().all()


GRAY = Image.fromarray(np.arange(0, 250, 2, dtype=np.uint8).reshape(5, 25))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"])
def test_grayscale_becomes_three_equal_channels(form):
    pixels = decode(encoded(GRAY, form), "gray")
    assert pixels.shape == (5, 25, 3)
    assert np.abs(pixels - np.asarray(GRAY)[..., None].astype(int)).max() < 12


def test_sixteen_bits_are_scaled_not_clipped():
    deep = Image.fromarray(np.asarray(GRAY).astype(np.uint16) * 257)
    for form in ("PNG", "TIFF"):
        assert (decode(encoded(deep, form), "deep")[..., 0] == np.asarray(GRAY)).all()


def test_alpha_lies_on_white():
    image = Image.new("RGBA", (4, 4), (200, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 128))
    pixels = decode(encoded(image), "alpha")
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert np.abs(pixels[0, 1].astype(int) - 127).max() <= 1
    assert pixels[1, 1].tolist() == [200, 0, 0]


def test_palettes_are_looked_up_with_their_transparency():
    image = Image.new("P", (2, 2), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 1), 1)
    assert decode(encoded(image), "palette")[0, 0].tolist() == [10, 20, 30]
    seen = decode(encoded(image, transparency=0), "palette")
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[1, 1].tolist() == [200, 100, 50]


def test_one_bit_and_cmyk():
    bits = Image.new("1", (3, 3), 1)
    assert (decode(encoded(bits), "bits") == 255).all()
    ink = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for form in ("TIFF", "JPEG"):
        red = decode(encoded(ink, form), "ink")[4, 4].astype(int)
        assert np.abs(red - [255, 0, 0]).max() < 8


def test_floating_point_pixels_are_refused():
    with pytest.raises(DataError, match="x: its pixels are floating-point"):
        decode(encoded(Image.new("F", (2, 2), 0.5), "TIFF"), "x")


# -- the hash -----------------------------------------------------------------------------------


def test_hash_follows_the_data_and_not_its_packing(tmp_path):
    first = opened(make_folder(tmp_path / "a")).info.sha256
    assert opened(make_folder(tmp_path / "b")).info.sha256 == first
    picture(99).save(tmp_path / "b" / "val" / "dog" / "0.png")
    assert opened(tmp_path / "b").info.sha256 != first
    make_parquet(tmp_path / "c", [0, 1, 0])
    make_parquet(tmp_path / "d", [0, 1, 1])
    assert opened(tmp_path / "c").info.sha256 != opened(tmp_path / "d").info.sha256


# -- what is refused ----------------------------------------------------------------------------


def test_missing_folder(tmp_path):
    assert refusal(tmp_path / "gone") == (
        f"the data folder {tmp_path / 'gone'} does not exist; --data takes a "
        "folder, or a name such as torch/cifar10"
    )
    (tmp_path / "file").write_text("x")
    assert "is not a folder" in refusal(tmp_path / "file")
    assert "neither train/" in refusal(tmp_path)


def test_no_validation(tmp_path):
    make_folder(tmp_path / "a")
    (tmp_path / "a" / "val").rename(tmp_path / "a" / "extra")
    assert "no validation images" in refusal(tmp_path / "a")
    make_parquet(tmp_path / "b", [0])
    next((tmp_path / "b").glob("val*")).unlink()
    assert "no validation images" in refusal(tmp_path / "b")


@pytest.mark.parametrize("content", [b"", b"no image at all", encoded(picture(0, (99, 99)))[:-999]])
@pytest.mark.parametrize("part", ["train", "val"])
def test_unreadable_image(tmp_path, content, part):
    make_folder(tmp_path)
    bad = tmp_path / part / "dog" / "1.png"
    bad.write_bytes(content)
    assert str(bad) in refusal(tmp_path)


def test_empty_class(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "train" / "ant").mkdir()
    message = refusal(tmp_path)
    assert "no image of class 0 (ant)" in message
    assert str(tmp_path / "train") in message


def test_class_that_training_lacks(tmp_path):
    make_folder(tmp_path)
    strange = tmp_path / "val" / "cow"
    strange.mkdir()
    assert str(strange) in refusal(tmp_path)


@pytest.mark.parametrize("names", [None, ("a", "b", "c", "d")])
def test_label_gap(tmp_path, names):
    message = refusal(make_parquet(tmp_path, [0, 1, 3], names=names))
    assert "no image of class 2" in message
    assert "train-00000-of-00001.parquet" in message


@pytest.mark.parametrize(("labels", "gap"), [([0, 2**60], 1), ([2**60, 1], 0), ([0, 0, 1, 9], 2)])
def test_a_huge_label_takes_no_memory(tmp_path, labels, gap):
    message = refusal(make_parquet(tmp_path, labels))
    assert f"no image of class {gap} ({gap}) and others" in message


@pytest.mark.parametrize("label", [-1, 2])
def test_label_out_of_range(tmp_path, label):
    message = refusal(make_parquet(tmp_path, [0, 1], [0, label], names=("a", "b")))
    assert f"label {label}" in message
    assert "val-" in message


def test_broken_parquet(tmp_path):
    make_parquet(tmp_path / "a", [0, 1])
    file = next((tmp_path / "a").glob("train*"))
    file.write_bytes(file.read_bytes()[:-20])
    assert str(file) in refusal(tmp_path / "a")
    (tmp_path / "b").mkdir()
    pq.write_table(pa.table({"picture": [b""], "label": [0]}), tmp_path / "b" / "train.parquet")
    pq.write_table(pa.table({"picture": [b""], "label": [0]}), tmp_path / "b" / "val.parquet")
    assert "no column 'image'; it has picture, label" in refusal(tmp_path / "b")


@pytest.mark.parametrize("labels", [pa.array([0, None]), pa.array(["a", "b"]), pa.array([0.5, 1])])
def test_labels_that_are_no_whole_numbers(tmp_path, labels):
    table = pa.table({"image": pa.array([encoded(picture())] * 2), "label": labels})
    for part in ("train", "val"):
        pq.write_table(table, tmp_path / f"{part}.parquet")
    message = refusal(tmp_path)
    assert "whole numbers" in message
    assert "train.parquet" in message


def test_parquet_row_without_an_image(tmp_path):
    images = pa.array([encoded(picture()), None, b"no image"], pa.binary())
    for drop, wanted in ((2, "row 1 has no image data"), (1, "row 1 is not a readable image")):
        keep = [i for i in range(3) if i != drop]
        table = pa.table({"image": images.take(pa.array(keep)), "label": [0, 1]})
        for part in ("train", "val"):
            pq.write_table(table, tmp_path / f"{part}.parquet")
        assert wanted in refusal(tmp_path)


# -- names --------------------------------------------------------------------------------------


class Toy:
    """As torchvision's data sets."""

    classes = ("cat", "dog")
    targets = (0, 1, 1)

    def __getitem__(self, index):
        return picture(index), self.targets[index]


def test_torchvision_set(monkeypatch):
    asked = []
    monkeypatch.setattr(named_sets, "fetch", lambda _name: None)
    monkeypatch.setattr(
        "timm.data.create_dataset", lambda name, **o: asked.append((name, o)) or Toy()
    )
    data = opened("torch/cifar10")
    assert [(name, options["split"]) for name, options in asked] == [
        ("torch/cifar10", "train"),
        ("torch/cifar10", "val"),
    ]
    assert (data.info.name, data.info.class_names) == ("torch/cifar10", ("cat", "dog"))
    assert open_source("torch/cifar10").mirrors
    assert not open_source("torch/mnist").mirrors


def test_hugging_face_set(monkeypatch):
    class Reader:
        def __init__(self):
            self.class_to_idx = {"dog": 1, "cat": 0}

        def __getitem__(self, index):
            return io.BytesIO(encoded(picture(index))), index % 2

        def iter_targets(self):
            return iter([0, 1, 0])

    def create(_name, split, input_key):
        if split == "validation" or input_key == "image":
            raise KeyError(f"no {split} {input_key}")
        return type("Dataset", (), {"reader": Reader()})()

    monkeypatch.setattr("timm.data.create_dataset", create)
    source = named_sets.named_set("hfds", "some/pets")
    assert source.class_names == ("cat", "dog")
    assert (source.train.pixels(2) == np.asarray(picture(2))).all()


def test_a_set_that_cannot_be_had(monkeypatch):
    def create(*_args, **_options):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(named_sets, "fetch", lambda _name: None)
    monkeypatch.setattr("timm.data.create_dataset", create)
    assert refusal("torch/cifar10") == "torch/cifar10 is not available: no route to host"
    assert "hfds/some/pets is not available" in refusal("hfds/some/pets")
    assert "tfds/cifar10 is a stream" in refusal("tfds/cifar10")


def test_webdataset_shards(tmp_path):
    write_shard(tmp_path / "train-0000.tar", samples(range(3)))
    write_shard(tmp_path / "train-0001.tar", samples(range(3, 5)))
    write_shard(tmp_path / "val-0000.tar", samples(range(2)))
    source = open_source(f"wds/{tmp_path}")
    assert source.train.labels.tolist() == [0, 1, 0, 1, 0]
    assert all((source.train.pixels(i) == np.asarray(picture(i))).all() for i in range(5))
    assert opened(f"wds/{tmp_path}").info.num_val == 2


def test_bad_shards(tmp_path):
    write_shard(tmp_path / "train-0.tar", samples(range(3))[:-1])
    assert "pets/0002.png has no .cls file" in refusal(f"wds/{tmp_path}")
    (tmp_path / "train-0.tar").write_bytes(b"x" * 2000)
    assert "train-0.tar is not a readable shard" in refusal(f"wds/{tmp_path}")
    write_shard(tmp_path / "train-0.tar", samples(range(2)))
    assert "has no val*.tar" in refusal(f"wds/{tmp_path}")


@pytest.mark.parametrize("label", [b"cat", b"-1", b"", b"9" * 30, b"9" * 5000])
def test_labels_of_shards_that_are_no_numbers_are_named(tmp_path, label):
    write_shard(tmp_path / "train.tar", [*samples(range(2))[:-1], ("pets/0001.cls", label)])
    write_shard(tmp_path / "val.tar", samples(range(2)))
    message = refusal(f"wds/{tmp_path}")
    assert message.startswith(f"{tmp_path}/train.tar:pets/0001.cls contains ")
    assert message.endswith("use the number of the class, from 0")
    assert len(message) < 300


def test_links_in_shards_are_skipped(tmp_path):
    for part in ("train", "val"):
        with tarfile.open(tmp_path / f"{part}.tar", "w") as tar:
            for name, content in samples(range(2)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            for name in ("pets/0002.png", "pets/0002.cls"):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = tarfile.SYMTYPE, name.replace("2.", "1.")
                tar.addfile(member)
            folder = tarfile.TarInfo("pets/0003.cls")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
    source = open_source(f"wds/{tmp_path}")
    assert source.train.labels.tolist() == [0, 1]
    assert source.notes[0].endswith("skipped: 2 links and special files")
