"""What a run records about the images it reads, prints, and keeps to when it is continued."""

from __future__ import annotations

import json
from dataclasses import replace

import cases
import pytest
from PIL import Image, ImageOps
from training_runs import fail_reading_at, tiny_settings
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.errors import TrainingError
from roadmap.train.checkpoint import load_checkpoint, save_checkpoint
from roadmap.train.opening import conventions
from roadmap.train.run import train

FACTS = ("train_split", "val_split", "exif_orientation")
TINY = ("--scale", "pocket", "--device", "cpu", "--epochs", "1", "--batch-size", "4")


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def settings(folder, data):
    changes = {"epochs": 1, "warmup_epochs": 0, "batch_size": 4}
    return tiny_settings(folder, changes=changes, data=str(data))


def record(folder):
    return json.loads((folder / "run.json").read_text())


def test_the_folder_taken_is_printed_and_stored(tmp_path):
    data, run = cases.three_splits(tmp_path / "pets"), tmp_path / "run"
    done = invoke("train", "--data", data, "--output", run, *TINY)
    assert done.exit_code == 0, done.output
    assert f"training on {data}/train, validating on {data}/valid" in done.stderr
    assert [record(run)["data"][name] for name in FACTS] == ["train", "valid", True]
    scored = ("evaluate", "--weights", run / "weights.safetensors", "--data", data)
    done = invoke(*scored, "--device", "cpu", "--format", "json")
    assert done.exit_code == 0, done.output
    assert f"scoring on {data}/valid" in done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["val_split"], row["images"]) == ("valid", 6)
    assert row["top1"] == record(run)["scores"]["top1"]


@pytest.mark.parametrize("command", ["train", "sweep", "evaluate"])
def test_a_test_split_and_skipped_files_are_printed(tmp_path, command):
    data = cases.class_folders(tmp_path / "pets", counts={"train": 2, "test": 2})
    (data / "train" / "cat" / "1.heic").write_bytes(b"?")
    options = ("--data", data, "--device", "cpu")
    if command == "evaluate":
        run = tmp_path / "run"
        train(settings(run, data))
        done = invoke("evaluate", "--weights", run / "weights.safetensors", *options)
    elif command == "train":
        done = invoke("train", *options, *TINY, "--output", tmp_path / "run")
    else:
        done = invoke("sweep", *options, *TINY, "--dry-run", "--output", tmp_path / "runs")
    assert done.exit_code == 0, done.output
    assert f"{data} has no validation split: using its test split" in done.stderr
    assert f"1 file in {data}/train skipped: 1 .heic" in done.stderr


@pytest.mark.parametrize("path", [".", "./", "../pets", "../link"])
def test_a_run_is_in_the_folder_of_its_data(tmp_path, monkeypatch, path):
    root = cases.class_folders(tmp_path / "pets", counts={"train": 2, "val": 1})
    (tmp_path / "link").symlink_to(root)
    monkeypatch.setenv("ROADMAP_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(root)
    done = invoke("train", "--data", path, *TINY)
    assert done.exit_code == 0, done.output
    (run,) = (tmp_path / "runs").glob("*/*/run.json")
    assert run.parts[-3:-1] == ("pets", "resnet50-separate_downsampling-seed0")
    assert record(run.parent)["data"]["name"] == "pets"


# -- orientation --------------------------------------------------------------------------------


@pytest.fixture
def turned(tmp_path):
    """Pictures that are to be shown turned by a quarter."""
    root = cases.class_folders(tmp_path / "turned", counts={"train": 4, "val": 2}, ending="jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in root.glob("*/*/*.jpg"):
        Image.open(file).save(file, exif=exif.tobytes())
    return root


@pytest.fixture
def turns(monkeypatch):
    """The pictures that were turned."""
    seen, whole = [], ImageOps.exif_transpose

    def noted(image, **options):
        seen.append(image.size)
        return whole(image, **options)

    monkeypatch.setattr(ImageOps, "exif_transpose", noted)
    return seen


def scores(weights, data) -> dict:
    done = invoke(*("evaluate", "--weights", weights, "--data", data), "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)[0]


def test_a_new_run_turns_images_and_its_weights_are_scored_so(tmp_path, turned, turns):
    run = tmp_path / "run"
    assert train(settings(run, turned))["data"]["exif_orientation"] is True
    assert len(turns) == 12
    found = scores(run / "weights.safetensors", turned)
    assert len(turns) == 24
    assert found["loss"] == pytest.approx(record(run)["scores"]["val_loss"], rel=1e-5)


def test_a_run_of_before_goes_on_with_images_as_stored(tmp_path, turned, turns, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        fail_reading_at(patch, 1)
        with pytest.raises(TrainingError):
            train(replace(settings(run, turned), checkpoint_every=0))
    content = record(run)
    found = load_checkpoint(run / "checkpoints", print)
    for data in (content["data"], found.state["identity"]["data"]):
        for name in FACTS:
            data.pop(name, None)
    (run / "run.json").write_text(json.dumps(content))
    assert found.state["step"] == 1
    save_checkpoint(run / "checkpoints", 1, found.tensors, found.state)
    turns.clear()
    content = train(settings(run, turned))
    assert content["status"] == "finished"
    assert [content["data"][name] for name in FACTS] == ["train", "val", False]
    found = scores(run / "weights.safetensors", turned)
    assert found["loss"] == pytest.approx(content["scores"]["val_loss"], rel=1e-5)
    assert not turns


def test_the_checkpoint_says_it_where_the_record_is_lost(tmp_path):
    assert conventions(tmp_path).exif_orientation
    state = {"identity": {"data": {"name": "pets"}}}
    save_checkpoint(tmp_path / "checkpoints", 1, {}, state)
    assert not conventions(tmp_path).exif_orientation
    (tmp_path / "run.json").write_text("{")
    assert not conventions(tmp_path).exif_orientation
    state["identity"]["data"]["exif_orientation"] = True
    save_checkpoint(tmp_path / "checkpoints", 2, {}, state)
    assert conventions(tmp_path).exif_orientation
