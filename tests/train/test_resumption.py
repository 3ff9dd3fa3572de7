"""The command that resumes a run, from its record."""

from __future__ import annotations

import dataclasses
import json
import shlex

import pytest
from fake_runs import write_run
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.runs import read_run
from roadmap.train import run as run_module
from roadmap.train.resumption import resume_command
from roadmap.train.settings import trained_config


@pytest.fixture
def asked(monkeypatch):
    """The settings that a command asks for, without training."""
    found = []
    monkeypatch.setattr(run_module, "train", lambda settings, _: found.append(settings))

    def settings_of(command: str):
        done = CliRunner().invoke(app, shlex.split(command)[3:])
        assert done.exit_code == 0, done.output
        return found.pop()

    return settings_of


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--scale pocket --device cpu", "--step gelu --scale pocket --device cpu --output"),
        ("--scale pocket --epochs 400 --seed 3 --ema-decay none", "--epochs 400"),
        (
            "--recipe resnet_timm_a1 --image-size 64 --batch-size 128 --micro-batch 32",
            "--micro-batch",
        ),
        ("--epochs 2 --lr 1e-3 --betas 0.8,0.9 --no-sync-batch-norm --compile", "--compile"),
        ("--data torch/cifar100 --precision bf16", "--data torch/cifar100"),
        ("--data some/PATH", "--data PATH"),
    ],
)
def test_it_asks_for_the_settings_of_the_run(options, expected, asked, tmp_path):
    first = asked(f"python -m roadmap train --step gelu {options}")
    data = "digits" if first.data is None else first.data.replace("some/PATH", "pics")
    identity = first.identity(trained_config(first), first.device or "cuda")
    more = {"recipe_name": first.recipe_name, "compiled": first.compiled}
    folder = write_run(tmp_path, data="odd 'folder'", done=1)
    content = json.loads((folder / "run.json").read_text())
    content["data"]["name"] = data
    (folder / "run.json").write_text(json.dumps(content | identity | more))
    command = resume_command(read_run(folder), folder)
    assert expected in command
    again = asked(command)
    assert again.output == folder
    assert again.identity(trained_config(again), again.device or "cuda") == identity
    assert again.compiled == first.compiled


def test_a_run_that_fine_tunes_starts_at_its_weights(asked, tmp_path):
    words = "--weights 'my run/weights.safetensors' --layer-decay 0.8 --frozen-stages 2 --lr 1e-3"
    first = asked(f"python -m roadmap train {words} --train-size 32 --test-size 32 --data here")
    recipe = json.loads(json.dumps(dataclasses.asdict(first.recipe)))
    start = {"weights": first.start.weights, "sha256": "0" * 64, "network": "x", "head": "new"}
    start |= {"layer_decay": 0.8, "frozen_stages": 2}
    folder = write_run(tmp_path, done=1, recipe=recipe, start=start, recipe_name="fine_tune")
    again = asked(resume_command(read_run(folder), folder))
    assert (again.start, again.recipe, again.data) == (first.start, first.recipe, "PATH")


def test_a_run_of_a_design_is_resumed_by_its_sweep(tmp_path):
    point = {"design": "small", "key": "007", "role": "fit", "levels": {}}
    folder = write_run(tmp_path, done=1, point=point)
    command = "python -m roadmap sweep --design FILE --data PATH --output"
    assert resume_command(read_run(folder), folder) == f"{command} {folder.parent}"


def test_settings_of_another_version_have_no_command(tmp_path):
    folder = write_run(tmp_path, done=1, recipe_name="of_another_version")
    assert resume_command(read_run(folder), folder) is None
