"""Weights meet a data set: classes are matched by name, or the names that differ are said."""

import json

import pytest
from cases import (
    cats_and_dogs,
    class_folders,
    class_table,
    dogs_and_kittens,
    numbered_classes,
    write_tables,
)
from color_networks import RECIPE, tells_channels_apart
from timm.data import create_dataset
from timm.utils import natural_key
from typer.testing import CliRunner

from models.files import read_weights, weights_content
from roadmap.cli import app
from roadmap.train.data.class_names import ClassNamesError, class_map, order_note, places
from roadmap.train.data.sources import open_source

CAT_DOG = ("cat", "dog")


def write_weights(path, network, **facts):
    facts = {"recipe": vars(RECIPE), **facts}
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(weights_content(network.state_dict(), network.config, **facts)))
    return path


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    return cats_and_dogs(tmp_path_factory.mktemp("pets") / "pets")


@pytest.fixture(scope="module")
def network(pets):
    return tells_channels_apart(pets, CAT_DOG)


def evaluated(weights, data, *options):
    arguments = ("evaluate", "--weights", weights, "--data", data, *options)
    form = ("--device", "cpu", "--format", "json")
    return CliRunner().invoke(app, [str(argument) for argument in (*arguments, *form)])


def scored(weights, data, *options):
    done = evaluated(weights, data, *options)
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    return row["top1"], row["classes"], done.stderr


def test_the_same_names_in_the_same_order(network, pets, tmp_path):
    weights = write_weights(tmp_path / "w.safetensors", network, class_names=CAT_DOG)
    top1, classes, said = scored(weights, pets)
    assert (top1, classes) == (100, "same names")
    assert "name" not in said


def test_another_order_is_matched_by_name(network, tmp_path):
    weights = write_weights(tmp_path / "w.safetensors", network, class_names=CAT_DOG)
    labels = {"label": (("dog", "cat"), (1, 0))}
    tables = {part: class_table(labels, 5) for part in ("train", "validation")}
    other = write_tables(tmp_path / "other", **tables)
    top1, classes, said = scored(weights, other)
    assert (top1, classes) == (100, "matched by name")
    assert "have the classes in different orders" in said


def test_other_names_are_refused_and_named(network, tmp_path):
    weights = write_weights(tmp_path / "w.safetensors", network, class_names=CAT_DOG)
    kittens = dogs_and_kittens(tmp_path / "kittens")
    done = evaluated(weights, kittens)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert (
        f"Error: the class names differ: only {weights} has 'cat'; only kittens has 'kitten'. If"
    ) in done.stderr
    top1, classes, _ = scored(weights, kittens, "--by-index")
    assert (top1, classes) == (0, "by index")


def test_another_number_of_classes_is_refused_with_the_names(network, tmp_path):
    weights = write_weights(tmp_path / "w.safetensors", network, class_names=CAT_DOG)
    done = evaluated(weights, class_folders(tmp_path / "more", {"cat": 0, "dog": 1, "emu": 2}))
    assert done.exit_code == 2
    assert f"{weights} has 2 and more has 3 classes: only more has 'emu'." in done.stderr


@pytest.mark.parametrize("without", ["weights", "data"])
def test_where_a_side_has_no_names_that_is_said(without, network, pets, tmp_path):
    names = {} if without == "weights" else {"class_names": CAT_DOG}
    weights = write_weights(tmp_path / "w.safetensors", network, **names)
    unnamed = {"label": (None, (0, 1))}
    tables = {part: class_table(unnamed, 5) for part in ("train", "validation")}
    data = pets if without == "weights" else write_tables(tmp_path / "unnamed", **tables)
    top1, classes, said = scored(weights, data)
    assert (top1, classes) == (100, "not checked")
    who = weights if without == "weights" else "unnamed"
    assert f"{who} has no class names, so they cannot be compared: assuming that output 0" in said


@pytest.mark.parametrize("place", ["label_names", "pretrained_cfg", "labels", "dict"])
def test_names_that_timm_publishes_beside_weights_count(place, network, pets, tmp_path):
    weights = write_weights(tmp_path / place / "model.safetensors", network)
    names = ["dog", "kitten"]
    config = {
        "label_names": {"label_names": names},
        "pretrained_cfg": {"pretrained_cfg": {"label_names": names}},
        "labels": {"labels": names},
        "dict": {"label_names": {"0": "dog", "1": "kitten"}},
    }[place]
    (weights.parent / "config.json").write_text(json.dumps(config))
    done = evaluated(weights, pets)
    assert done.exit_code == 2
    assert "has 'kitten'; only pets has 'cat'" in done.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"label_names": 3}', "[" * 100_000, '{"labels": []}'])
def test_a_config_without_names_is_none(text, network, pets, tmp_path):
    weights = write_weights(tmp_path / "model.safetensors", network)
    (tmp_path / "config.json").write_text(text)
    assert scored(weights, pets)[1] == "not checked"


def test_names_that_repeat_cannot_be_matched():
    twice = ("crane", "crane", "emu")
    assert places(twice, twice, ("data", "weights")).tolist() == [0, 1, 2]
    with pytest.raises(ClassNamesError, match="several classes are named 'crane'"):
        places(twice, ("emu", "crane", "crane"), ("data", "weights"))


def test_many_long_names_make_a_short_message():
    ours, theirs = ([f"{kind}{n}" * 10_000 for n in range(20)] for kind in "ab")
    with pytest.raises(ClassNamesError, match="and 15 more") as caught:
        places(ours, theirs, ("data", "weights"))
    assert len(str(caught.value)) < 800


def test_an_exported_file_has_the_names_of_its_classifier(network, tmp_path):
    weights = write_weights(tmp_path / "w.safetensors", network, class_names=CAT_DOG)
    for classes, names in ((2, ["cat", "dog"]), (0, None)):
        out = tmp_path / f"{classes}.safetensors"
        options = ("--num-classes", str(classes), "--format", "safetensors", "--output", str(out))
        done = CliRunner().invoke(app, ["export", "--weights", str(weights), *options])
        assert done.exit_code == 0, done.output
        assert read_weights(out).facts.get("class_names") == names


# -- orders of class folders --------------------------------------------------------------------


def test_where_timm_sorts_folders_otherwise_it_is_said(tmp_path):
    source = open_source(numbered_classes(tmp_path / "n"))
    assert source.class_names[:4] == ("0", "1", "10", "11")
    (note,) = source.notes
    assert "class 2 is '10' here" in note
    assert "'2' in timm" in note


def test_images_in_sub_folders_are_of_the_class_and_in_timm_of_the_innermost_folder(tmp_path):
    root = cats_and_dogs(tmp_path / "pets")
    first = min((root / "val" / "cat").iterdir())
    (root / "val" / "cat" / "young").mkdir()
    first.rename(root / "val" / "cat" / "young" / first.name)
    source = open_source(root)
    assert source.class_names == CAT_DOG
    images = len(source.val.labels)
    (tmp_path / "map.txt").write_text(class_map(CAT_DOG))
    read = [
        create_dataset("", root=str(root), split="val", class_map=given).reader
        for given in ("", str(tmp_path / "map.txt"))
    ]
    assert list(read[0].class_to_idx) == ["cat", "dog", "young"]
    assert [len(reader) for reader in read] == [images, images - 1]  # what the documents say


@pytest.mark.parametrize("names", ["a b", "1 2 9", "n01 n02", "B a", "1 10 2", "a1 a10 a9", "A b"])
def test_orders_are_compared_as_timm_sorts(names):
    names = names.split()
    assert (not order_note(names)) == (sorted(names, key=natural_key) == names)


def test_a_class_map_only_where_timm_reads_the_names():
    assert class_map(("0", "10", "Zebra", "ä b")) == "0\n10\nZebra\nä b\n"
    for name in (" a", "a ", "a\nb", "a\rb", "\udcff", "b"):
        assert class_map(("b", name)) is None
