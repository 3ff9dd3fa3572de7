"""Every way in which a folder of runs can be broken is a sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fake_runs import write_run
from run_folders import change, only, why, without

from roadmap.runs import Runs, curves, read_runs


def test_no_root_no_runs(tmp_path):
    assert read_runs(tmp_path / "nowhere") == Runs((), ())


def test_a_root_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be listed" in why(tmp_path / "file")


def test_files_and_hidden_folders_are_passed_over(tmp_path):
    write_run(tmp_path)
    (tmp_path / "README.md").touch()
    (tmp_path / "tiny" / "notes.txt").touch()
    (tmp_path / "tiny" / ".cache").mkdir()
    only(tmp_path)


def test_a_broken_folder_does_not_hide_the_others(tmp_path):
    write_run(tmp_path, seed=1)
    (tmp_path / "tiny" / "empty").mkdir()
    found = read_runs(tmp_path)
    assert [run.seed for run in found.runs] == [1]
    assert found.unreadable == ((tmp_path / "tiny" / "empty", "There is no run.json."),)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "run.json is not valid JSON; it may be truncated."),
        (b'{"status": "fin', "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "run.json is not a JSON object."),
        (b"{}", "status is missing; expected a string."),
    ],
)
def test_a_run_json_that_is_none(tmp_path, content, sentence):
    (write_run(tmp_path) / "run.json").write_bytes(content)
    assert sentence in why(tmp_path)


def test_where_checkpoints_are_left_it_says_that_run_json_can_be_written_again(tmp_path):
    folder = write_run(tmp_path)
    (folder / "run.json").write_bytes(b"")
    assert "checkpoint" not in why(tmp_path)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-000000001.json").write_text("{}")
    assert "Run the training command again to restore it from a checkpoint." in why(tmp_path)


@pytest.mark.parametrize(
    "places",
    [
        ("roadmap",),
        ("step",),
        ("seed",),
        ("scale",),
        ("recipe_name",),
        ("recipe",),
        ("recipe", "epochs"),
        ("recipe", "train_size"),
        ("data",),
        ("data", "name"),
        ("data", "val_images"),
        ("versions",),
        ("device",),
        ("scores",),
        ("scores", "top1"),
    ],
)
def test_a_missing_key_is_named(tmp_path, places):
    without(write_run(tmp_path), *places)
    assert f"run.json: {'.'.join(places)} is missing; expected " in why(tmp_path)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"status": "done"}, "status is 'done'; expected running, finished, "),
        ({"seed": "0"}, "run.json: seed is '0'; expected an integer."),
        ({"seed": True}, "run.json: seed is True; expected an integer."),
        ({"roadmap": "resnet5"}, "Did you mean 'resnet50'?"),
        ({"step": "kernel7"}, "Did you mean 'kernel_7'?"),
        ({"scores": None}, "run.json: scores is None; expected an object."),
        ({"scores": {"top1": None}}, "run.json: scores.top1 is None; expected a number."),
        ({"scores": {"top1": float("nan")}}, "scores.top1 is nan; expected a number between"),
        ({"scores": {"top1": 101}}, "scores.top1 is 101; expected a percentage from 0 to 100."),
        ({"scores": {"top1": 50, "ema_top1": -1}}, "scores.ema_top1 is -1; expected a percentage"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, facts, sentence):
    change(write_run(tmp_path), **facts)
    assert sentence in why(tmp_path)


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("data.val_images", 0, "expected an integer of at least 1."),
        ("recipe.batch_size", -1, "expected an integer of at least 1."),
        ("recipe.lr", None, "expected a number."),
    ],
)
def test_a_wrong_value_below_is_named(tmp_path, place, value, expected):
    folder = write_run(tmp_path)
    outer, name = place.split(".")
    content = json.loads((folder / "run.json").read_text())
    change(folder, **{outer: content[outer] | {name: value}})
    assert f"run.json: {place} is {value}; {expected}" in why(tmp_path)


def test_lines_may_end_as_windows_ends_them(tmp_path):
    folder = write_run(tmp_path)
    path = folder / "metrics.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    [run] = read_runs(tmp_path).runs
    assert run.epochs == len(curves(run)["epoch"]) > 0


@pytest.mark.parametrize(
    ("cut", "sentence"),
    [
        (lambda text: text[:-30], "metrics.csv is truncated in line 4."),
        (lambda text: text.rsplit("\n", 2)[0] + "\n", "after 3 epochs, but metrics.csv has 2."),
        (lambda text: text.replace("10.0\n", "\n", 1), "line 2 has no number in column seconds"),
        (lambda text: text.replace(",5000.0,10.0\n", "\n", 1), "line 2 has 10 cells instead of 12"),
        (lambda text: "x\n".join(text.rsplit("\n", 1)), "line 4 has no number in column"),
        (lambda _: "", "has a wrong header; expected epoch,lr,train_loss,"),
        (lambda text: text.split("\n", 1)[1], "has a wrong header"),
    ],
)
def test_a_damaged_metrics_csv(tmp_path, cut, sentence):
    path = write_run(tmp_path) / "metrics.csv"
    path.write_text(cut(path.read_text()))
    assert sentence in why(tmp_path)


def test_a_finished_run_without_metrics_csv(tmp_path):
    (write_run(tmp_path) / "metrics.csv").unlink()
    assert "metrics.csv has 0" in why(tmp_path)


def test_folders_in_the_place_of_files(tmp_path):
    folder = write_run(tmp_path)
    (folder / "metrics.csv").unlink()
    (folder / "metrics.csv").mkdir()
    assert "metrics.csv" in why(tmp_path)
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()
    assert "run.json cannot be read" in why(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("closed", ["tiny", "tiny/resnet50-kernel_7-seed0"])
def test_a_folder_without_permission(tmp_path, closed):
    write_run(tmp_path)
    (tmp_path / closed).chmod(0)
    try:
        assert "Permission denied" in why(tmp_path)
    finally:
        (tmp_path / closed).chmod(0o755)


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    write_run(tmp_path)
    whole = Path.iterdir

    def refused(self):
        if self.name == "tiny":
            raise PermissionError(13, "Permission denied")
        return whole(self)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert why(tmp_path) == "The folder cannot be listed: Permission denied."
