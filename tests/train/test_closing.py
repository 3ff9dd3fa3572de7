"""The last line of a run."""

import shlex

import pytest
from data_sets import make_folder
from fake_runs import write_run
from training_runs import tiny_settings
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.runs import read_run
from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.train.closing import closing_line
from roadmap.train.run import train

SHORT = {"epochs": 1, "warmup_epochs": 0, "batch_size": 4, "train_size": 32}


def works(command):
    done = CliRunner().invoke(app, shlex.split(command)[3:])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_run_ends_with_its_scores_its_folder_and_a_command_that_works(tmp_path, capfd):
    make_folder(tmp_path / "pics", train=4, val=2)
    folder = tmp_path / "my runs" / "run"
    settings = tiny_settings(folder, data=str(tmp_path / "pics"), changes=SHORT)
    scores = train(settings)["scores"]
    lines = capfd.readouterr().err.splitlines()
    train(settings)  # finished already
    again = capfd.readouterr().err.splitlines()
    assert "already finished" in again[-2]
    assert lines[-1] == again[-1]
    said, _, command = lines[-1].partition("; to classify pictures: ")
    assert said == (
        f"finished with top-1 {scores['top1']:.2f}%, average {scores['ema_top1']:.2f}%, in {folder}"
    )
    best = "weights" if scores["top1"] >= scores["ema_top1"] else "weights_ema"
    assert f"{best}.safetensors" in command
    pictures = shlex.quote(str(tmp_path / "pics" / "val"))
    assert "probability" in works(command.replace(" PATH", f" {pictures}"))
    quiet = tiny_settings(tmp_path / "quiet", data=str(tmp_path / "pics"), changes=SHORT)
    train(quiet, quiet=True)
    assert capfd.readouterr().err == ""


def test_runs_on_the_digits_are_for_comparing_steps(tmp_path, monkeypatch):
    for step in ("kernel_7", "gelu"):
        folder = write_run(tmp_path, step, 0, 61.25, data="digits")
    said = closing_line(read_run(folder), folder)
    assert said == f"finished with top-1 61.25%, in {folder}"  # it is not where reports look
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    said, _, command = closing_line(read_run(folder), folder).partition("; to compare it with ")
    assert said == f"finished with top-1 61.25%, in {folder}"
    assert "61.2" in works(command.removeprefix("other steps: "))


def test_weights_that_are_gone_or_not_for_pictures_are_not_offered(tmp_path):
    folder = write_run(tmp_path, data="pics")
    assert closing_line(read_run(folder), folder) == f"finished with top-1 70.00%, in {folder}"


@pytest.mark.parametrize(("classes", "shown"), [("abcde", False), ("abcdef", True)])
def test_top5_is_left_out_where_it_is_always_100(classes, shown, tmp_path, capfd):
    make_folder(tmp_path / "pics", train=4, val=2, classes=classes)
    folder = tmp_path / "run"
    content = train(tiny_settings(folder, data=str(tmp_path / "pics"), changes=SHORT))
    assert ("top-5" in capfd.readouterr().err) == shown
    assert content["scores"]["top5"] is not None
    weights, data = (shlex.quote(str(path)) for path in (folder, tmp_path / "pics"))
    command = f"python -m roadmap evaluate --weights {weights}/weights.safetensors --data {data}"
    assert ("top-5" in works(f"{command} --device cpu")) == shown
    assert '"top5"' in works(f"{command} --device cpu --format json")
