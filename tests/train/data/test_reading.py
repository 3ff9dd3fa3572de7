"""What is on disk is what is trained on (splits, labels, files), or a sentence says why not."""

from __future__ import annotations

import io
import os

import cases
import numpy as np
import pyarrow as pa
import pytest
from data_sets import assert_right, refusal, samples, write_shard
from PIL import Image

from roadmap.train.data.images import DataError, decode, image_endings, image_size
from roadmap.train.data.named_sets import named_set
from roadmap.train.data.sources import open_source

# -- splits -------------------------------------------------------------------------------------


def test_valid_goes_before_test(tmp_path):
    source = open_source(cases.three_splits(tmp_path / "pets"))
    assert (len(source.train.labels), len(source.val.labels)) == (6, 6)
    assert source.splits == ("train", "valid")
    assert source.taken == (f"{tmp_path}/pets/train", f"{tmp_path}/pets/valid")
    assert not source.notes


SPLITS = [
    ("train", ("val", "test")),
    ("train", ("validation", "valid", "test")),
    ("train", ("valid", "test")),
    ("training", ("dev", "testing")),
    ("train", ("eval", "test")),
]


@pytest.mark.parametrize("form", ["folder", "parquet", "shards"])
@pytest.mark.parametrize(("train", "others"), SPLITS)
def test_split_names(tmp_path, form, train, others):
    counts = {train: 2} | {part: 3 + place for place, part in enumerate(others)}
    for part, count in counts.items():
        if form == "folder":
            cases.class_folders(tmp_path, counts={part: count})
        elif form == "parquet":
            table = cases.class_table({"label": (("cat", "dog"), (0, 1))}, count)
            cases.write_tables(tmp_path, **{f"{part}-00000-of-00001": table})
        else:
            write_shard(tmp_path / f"{part}-0000.tar", samples(range(2 * count)))
    source = open_source(f"wds/{tmp_path}" if form == "shards" else tmp_path)
    assert source.splits == (train, others[0])
    assert (len(source.train.labels), len(source.val.labels)) == (4, 6)
    places = (f"training on {tmp_path}/{train}", f"validating on {tmp_path}/{others[0]}")
    assert all(place in source.said[0] for place in places)
    if form == "folder":
        assert not source.notes
    else:
        assert "of other splits skipped: " in source.notes[0]


def test_split_folders_in_capitals(tmp_path):
    cases.class_folders(tmp_path, counts={"Train": 2, "Valid": 1, "Test": 3})
    source = open_source(tmp_path)
    assert source.splits == ("Train", "Valid")
    assert len(source.val.labels) == 2


@pytest.mark.parametrize("form", ["folder", "parquet", "shards"])
def test_a_test_split_for_validation_is_said(tmp_path, form):
    if form == "folder":
        cases.class_folders(tmp_path, counts={"train": 2, "Test": 1})
    elif form == "parquet":
        table = cases.class_table({"label": (("cat", "dog"), (0, 1))}, 2)
        cases.write_tables(tmp_path, train=table, test=table)
    else:
        for part in ("train", "test"):
            write_shard(tmp_path / f"{part}-0.tar", samples(range(2)))
    (note,) = open_source(f"wds/{tmp_path}" if form == "shards" else tmp_path).notes
    assert "has no validation split: using its test split" in note.lower()


def test_the_test_split_of_a_torchvision_set_is_said(monkeypatch):
    class Toy:
        classes = ("cat", "dog")
        targets = (0, 1)
        train = False

        def __getitem__(self, index):
            return cases.picture(index), index

    monkeypatch.setattr("roadmap.train.data.named_sets.fetch", lambda _name: None)
    monkeypatch.setattr("timm.data.create_dataset", lambda *_args, **_options: Toy())
    source = open_source("torch/cifar10")
    assert source.splits == ("train", "test")
    assert source.folder == "cifar10"  # its runs are where runs are looked for
    assert "using its test split" in source.notes[0]


class Reader:
    """As timm's of a set on the hub."""

    def __init__(self, names=("cat", "dog")):
        self.class_to_idx = {name: place for place, name in enumerate(names)}

    def iter_targets(self):
        return iter([0, 1])

    def __getitem__(self, index):
        return io.BytesIO(cases.encoded(cases.picture(index))), index


def hub(monkeypatch, **splits):
    def create(_name, split, **_options):
        if split not in splits:
            raise ValueError(f'Unknown split "{split}". Should be one of {list(splits)}.')
        if isinstance(splits[split], Exception):
            raise splits[split]
        return type("Dataset", (), {"reader": splits[split]})()

    monkeypatch.setattr("timm.data.create_dataset", create)


def test_the_splits_of_a_set_on_the_hub(monkeypatch):
    hub(monkeypatch, train=Reader(), valid=Reader(("dog", "cat")), test=Reader())
    source = named_set("hfds", "some/pets")
    assert source.splits == ("train", "valid")
    assert source.val.labels.tolist() == [1, 0]  # by their names
    hub(monkeypatch, train=Reader(), test=Reader())
    assert "test split" in named_set("hfds", "some/pets").notes[0]


def test_a_lost_connection_is_no_missing_split(monkeypatch):
    hub(monkeypatch, train=Reader(), validation=ConnectionError("timed out"), test=Reader())
    assert refusal("hfds/some/pets") == "hfds/some/pets is not available: timed out"


# -- labels -------------------------------------------------------------------------------------


def test_files_that_number_the_classes_differently_are_matched_by_name(tmp_path):
    source = open_source(cases.reordered_labels(tmp_path / "a"))
    assert source.class_names == ("cat", "dog")
    assert_right(source)
    first = cases.class_table({"label": (("cat", "dog"), (0, 1))})
    second = cases.class_table({"label": (("dog", "cat"), (1, 0))})
    tables = {"train-0": first, "train-1": second, "val": second}
    assert_right(open_source(cases.write_tables(tmp_path / "b", **tables)), 48, 24)


@pytest.mark.parametrize("other", ["train-1", "val"])
def test_files_with_other_classes_are_refused(tmp_path, other):
    names = {"train-0": ("cat", "dog"), "train-1": ("cat", "dog"), "val": ("cat", "dog")}
    names[other] = ("dog", "kitten")
    tables = {
        stem: cases.class_table({"label": (classes, (0, 1))}, 2) for stem, classes in names.items()
    }
    message = refusal(cases.write_tables(tmp_path, **tables))
    for part in (f"{tmp_path}/train-0.parquet", f"{tmp_path}/{other}.parquet", "kitten", "cat"):
        assert part in message


def test_a_file_without_class_names_is_said(tmp_path):
    named = cases.class_table({"label": (("cat", "dog"), (0, 1))}, 2)
    bare = cases.class_table({"label": (None, (0, 1))}, 2)
    source = open_source(cases.write_tables(tmp_path, train=named, val=bare))
    (note,) = source.notes
    assert f"{tmp_path}/val.parquet does not name its classes" in note
    assert "assuming that they have the same order" in note


def test_the_column_named_label_goes_first_and_is_named(tmp_path):
    source = open_source(cases.two_label_columns(tmp_path / "a"))
    assert source.class_names == ("cat", "dog")
    assert source.said[0].endswith("labels from the column 'label' (not coarse)")
    assert_right(source)
    # Also where it has no names of its own, but not where it holds text.
    labels = {"coarse": (("x", "y"), (1, 0)), "label": (None, (0, 1))}
    table = cases.class_table(labels, 2)
    source = open_source(cases.write_tables(tmp_path / "b", train=table, val=table))
    assert not source.named
    assert_right(source, 4, 4)
    text = table.set_column(2, "label", pa.array(["cat"] * 2 + ["dog"] * 2))
    text = text.replace_schema_metadata(table.schema.metadata)
    source = open_source(cases.write_tables(tmp_path / "c", train=text, val=text))
    assert source.class_names == ("x", "y")
    assert "labels from the column 'coarse'" in source.said[0]


def test_every_file_takes_the_same_label_column(tmp_path):
    labels = {"label": (("cat", "dog"), (0, 1))}
    other = {"kind": (("cat", "dog"), (0, 1))}
    tables = {"train": cases.class_table(labels, 2), "val": cases.class_table(other, 2)}
    message = refusal(cases.write_tables(tmp_path, **tables))
    assert f"{tmp_path}/val.parquet has no column 'label'; it has image, kind" in message


@pytest.mark.parametrize(
    "metadata",
    [
        "[]",
        "{",
        '{"info": 3}',
        '{"info": {"features": [1]}}',
        '{"info": {"features": {"label": 1}}}',
    ],
)
def test_metadata_of_another_kind_is_left_alone(tmp_path, metadata):
    table = cases.class_table({"label": (None, (0, 1))}, 2)
    table = table.replace_schema_metadata({"huggingface": metadata})
    assert_right(open_source(cases.write_tables(tmp_path, train=table, val=table)), 4, 4)


def test_one_class_is_nothing_to_classify(tmp_path):
    message = refusal(cases.class_folders(tmp_path / "a", {"cat": 0}))
    assert message.startswith(
        f"{tmp_path}/a/train has only one class, cat: classification needs two or more"
    )
    table = cases.class_table({"label": (None, (0, 0))}, 2)
    assert "one class, 0" in refusal(cases.write_tables(tmp_path / "b", train=table, val=table))
    for part in ("train", "val"):
        write_shard(tmp_path / f"{part}.tar", samples([0, 2]))
    assert "one class, 0" in refusal(f"wds/{tmp_path}")


# -- files --------------------------------------------------------------------------------------


def test_linked_folders_are_read(tmp_path):
    assert_right(open_source(cases.linked_folder(tmp_path / "pets")), 28)


def test_links_that_lead_back_are_not_followed(tmp_path):
    root = cases.class_folders(tmp_path / "pets")
    dog = root / "train" / "dog"
    (dog / "self").symlink_to(dog)
    (dog / "up").symlink_to("..")
    (dog / "top").symlink_to(tmp_path)
    for name, other in (("one", "two"), ("two", "one")):
        (dog / name).mkdir()
        (dog / name / "other").symlink_to(dog / other)
        cases.picture(1, len(name)).save(dog / name / f"{name}.png")
    assert_right(open_source(root), 26)


def test_linked_class_folders_and_files_are_read(tmp_path):
    root = cases.class_folders(tmp_path / "pets")
    elsewhere = cases.class_folders(tmp_path / "more", {"blue": 2})
    for part in ("train", "val"):
        (root / part / "fish").symlink_to(elsewhere / part / "blue")
    (root / "train" / "cat" / "linked.png").symlink_to(root / "val" / "cat" / "0.png")
    assert_right(open_source(root), 37, 15)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    root = cases.class_folders(tmp_path / "pets")
    closed = root / "train" / "dog" / "closed"
    closed.mkdir()
    scandir = os.scandir

    def denied(path):
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert refusal(root) == f"{closed} cannot be read: Permission denied"


def test_whatever_pillow_decodes_is_read(tmp_path):
    assert_right(open_source(cases.jfif_files(tmp_path / "a")))
    root = cases.class_folders(tmp_path / "b", counts={"train": 1, "val": 1})
    for ending in (".jpe", ".JPG", ".tga", ".jp2", ".qoi", ".pcx", ".pbm", ".ico", ".apng", ".mpo"):
        form = Image.registered_extensions()[ending.lower()]
        picture = cases.picture(1, 5).convert("1" if ending == ".pbm" else "RGB")
        (root / "train" / "dog" / f"x{ending}").write_bytes(cases.encoded(picture, form))
    source = open_source(root)
    assert source.train.labels.tolist() == [0] + [1] * 11
    assert all(source.train.pixels(index).ndim == 3 for index in range(12))
    assert not source.notes
    assert {".h5", ".mpg", ".eps", ".pdf", ".txt", ""}.isdisjoint(image_endings())


def test_what_is_skipped_is_counted_with_its_endings(tmp_path):
    root = cases.class_folders(tmp_path)
    dog = root / "train" / "dog"
    for name in ("a.heic", "b.HEIC", "notes.txt", "raw", ".DS_Store"):
        (dog / name).write_bytes(b"?")
    (root / "train" / "0.png").write_bytes(b"?")
    (root / "val" / "cat" / "a.npy").write_bytes(b"?")
    train, val = open_source(root).notes
    assert train.startswith(f"6 files in {root}/train skipped: 2 .heic, ")
    for kind in ("1 .txt", "1 without an extension", "1 hidden", "1 .png beside the class folders"):
        assert kind in train
    assert val == f"1 file in {root}/val skipped: 1 .npy"


def test_where_nothing_is_read_what_is_skipped_is_counted(tmp_path):
    root = cases.class_folders(tmp_path / "a", ending="png")
    for file in (root / "train" / "dog").iterdir():
        file.rename(file.with_suffix(".heic"))
    message = refusal(root)
    assert "no image of class 1 (dog)" in message
    assert message.endswith(f"12 files in {root}/train skipped: 12 .heic")
    for file in (root / "train" / "cat").iterdir():
        file.rename(file.with_suffix(".heic"))
    assert refusal(root).endswith("; 24 files in it skipped: 24 .heic")
    heic = [(name.replace("png", "heic"), content) for name, content in samples(range(3))]
    for part in ("train", "val"):
        write_shard(tmp_path / f"{part}.tar", heic)
    message = refusal(f"wds/{tmp_path}")
    assert message == f"{tmp_path}/train.tar has no images; 3 files in it skipped: 3 .heic"


def test_validation_images_without_class_folders(tmp_path):
    root = cases.class_folders(tmp_path)
    (root / "val" / "dog").rename(root / "dog")
    assert open_source(root).notes == (f"{root}/val has no images of 1 of the 2 classes: dog",)
    for file in (root / "val" / "cat").iterdir():
        file.rename(root / "val" / file.name)
    (root / "val" / "cat").rmdir()
    assert refusal(root) == (
        f"{root}/val has no images in class folders; "
        "5 files in it skipped: 5 .png beside the class folders"
    )


def test_a_pipe_among_the_images_is_named(tmp_path):
    root = cases.class_folders(tmp_path)
    os.mkfifo(root / "val" / "dog" / "0.jpg")
    message = refusal(root)
    assert message == f"{root}/val/dog/0.jpg is not a regular file: remove it"
    with pytest.raises(DataError, match="is not a regular file: remove it"):
        open_source(root).val.detail(5)


def test_what_is_skipped_of_shards_is_counted(tmp_path):
    more = [("pets/0000.json", b"{}"), ("pets/0001.json", b"{}"), ("pets/0002.heic", b"?")]
    for part in ("train", "val"):
        write_shard(tmp_path / f"{part}.tar", samples(range(4)) + more)
    (train, _) = open_source(f"wds/{tmp_path}").notes
    assert train == f"3 files in {tmp_path}/train.tar skipped: 2 .json, 1 .heic"


def test_two_images_of_one_sample_are_refused(tmp_path):
    more = [("pets/0001.jpg", cases.encoded(cases.picture(1), "JPEG"))]
    write_shard(tmp_path / "train.tar", samples(range(2)) + more)
    message = refusal(f"wds/{tmp_path}")
    assert "pets/0001.png and pets/0001.jpg are two images of one sample" in message


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [".", "..", "./", "../pets", "train/..", "../link", "../link/"])
@pytest.mark.parametrize("form", ["", "wds/"])
def test_the_name_is_that_of_the_real_folder(tmp_path, monkeypatch, path, form):
    root = cases.class_folders(tmp_path / "pets", counts={"train": 1, "val": 1})
    for part in ("train", "val"):
        write_shard(root / f"{part}.tar", samples(range(2)))
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(root / "train" if path == ".." else root)
    assert open_source(f"{form}{path}").name == "pets"


def test_the_name_of_parquet_is_that_of_the_real_folder(tmp_path, monkeypatch):
    cases.reordered_labels(tmp_path / "pets" / "data")
    monkeypatch.chdir(tmp_path / "pets")
    assert open_source(".").name == "pets"
    assert open_source("./data/../").name == "pets"


def test_a_folder_without_a_name_or_with_a_hidden_one(tmp_path, monkeypatch):
    root = cases.class_folders(tmp_path / ".pets", counts={"train": 1, "val": 1})
    assert open_source(root).name == "pets"  # hidden folders of runs would not be listed
    monkeypatch.setattr("pathlib.Path.resolve", lambda self: type(self)("/"))
    assert open_source(root).name == "data"


def test_an_empty_path_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(cases.cats_and_dogs(tmp_path))
    assert "--data is empty" in refusal("")
    assert "File name too long" in refusal("x" * 5000)


# -- pictures -----------------------------------------------------------------------------------


def test_an_empty_file_is_called_empty(tmp_path):
    root = cases.cats_and_dogs(tmp_path)
    empty = root / "val" / "dog" / "1.png"
    empty.write_bytes(b"")
    assert refusal(root) == f"{empty} is empty (0 bytes)"
    for read in (decode, image_size):
        with pytest.raises(DataError, match=r"^x is empty \(0 bytes\)$"):
            read(b"", "x")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_picture_is_refused_with_its_size(monkeypatch):
    data = cases.encoded(cases.picture(0, size=(40, 50)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 999)
    for read in (decode, image_size):
        with pytest.raises(DataError) as caught:
            read(data, "x")
        assert str(caught.value) == (
            "x has 2,000 pixels, and the limit is 1,998: make the image smaller"
        )
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode(data, "x").shape == (40, 50, 3)


def turned(form: str, orientation: int = 6, size=(40, 48), **options) -> bytes:
    """A picture that a viewer shows turned by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return cases.encoded(cases.picture(0, size=size), form, exif=exif.tobytes(), **options)


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_exif_orientation_is_applied(form, options):
    wanted = np.asarray(cases.picture(0))
    stored = decode(turned(form, **options), "x", exif_orientation=False)
    assert (stored == wanted).all()
    assert (decode(turned(form, **options), "x") == np.rot90(wanted, -1)).all()
    assert (decode(turned(form, 2, **options), "x") == wanted[:, ::-1]).all()
    assert (decode(turned(form, 1, **options), "x") == wanted).all()
    assert decode(turned("JPEG"), "x").shape == (48, 40, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_broken_orientation_tag_is_none():
    for exif in (b"Exif\0\0", b"Exif\0\0MM\0*\0\0\xff\xff", b"no exif", turned("PNG")[:50]):
        data = cases.encoded(cases.picture(0), "JPEG", exif=exif)
        assert decode(data, "x").shape == (40, 48, 3)
    assert decode(turned("JPEG", 99), "x").shape == (40, 48, 3)
