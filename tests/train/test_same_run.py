"""Whether a folder's run is the one that is asked for, and the options that make it that."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from training_runs import tiny_settings

from models.text import said
from roadmap.errors import RefusedError
from roadmap.train.run import train
from roadmap.train.same_run import free_folder, listed, options, run_differences
from roadmap.train.settings import choose_recipe, parse_field


def facts(step: str = "kernel_7", **changes) -> dict:
    recipe, _ = choose_recipe("resnet50", step, changes=changes)
    return json.loads(json.dumps({"step": step, "recipe": dataclasses.asdict(recipe)}))


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ({}, {"epochs": 30}),
        ({"epochs": 30}, {}),
        ({"epochs": 30, "warmup_epochs": 20}, {}),
        ({"batch_size": 512, "lr": 0.004}, {"epochs": 90}),
        ({"betas": (0.8, 0.9), "layer_scale": None, "auto_augment": "none"}, {"lr": 1e-5}),
        ({"step": "gelu", "mixup": 0.0}, {}),
    ],
)
def test_the_options_that_are_offered_give_the_run_that_is_there(there, here):
    before, asked = facts(**there), facts(**here)
    words = options(run_differences(before, asked), before).split()
    given = dict(zip(words[::2], words[1::2], strict=True))
    step = given.pop("--step", asked["step"])
    names = {name: name.removeprefix("--").replace("-", "_") for name in given}
    changes = {names[name]: parse_field(names[name], text) for name, text in given.items()}
    assert facts(step, **here | changes) == before


def test_there_are_no_options_for_what_no_option_says():
    for found in ({"config.width": (8, 16)}, {"micro_batch": (None, 8)}, {"step": (None, "gelu")}):
        assert options(found, {}) is None


def test_a_network_that_differs_with_its_recipe_is_not_named_twice():
    rates = {"recipe.stochastic_depth": (0.1, 0.0), "config.stochastic_depth": (0.1, 0.0)}
    assert listed(rates) == "--stochastic-depth 0.1 before, 0.0 now"
    assert options(rates, {}) == "--stochastic-depth 0.1"
    alone = {"config.width": (8, 16)}
    assert listed(alone) == f"config.width {said(8)} before, 16 now"


def test_a_free_folder_is_in_another_folder_of_runs(tmp_path):
    root = tmp_path / "runs" / "pets"
    assert free_folder(root) == tmp_path / "runs-2" / "pets"
    (tmp_path / "runs-2" / "pets").mkdir(parents=True)
    assert free_folder(root) == tmp_path / "runs-3" / "pets"
    assert free_folder(tmp_path / "runs" / "other") == tmp_path / "runs-2" / "other"


@pytest.mark.usefixtures("few_digits")
def test_train_says_how_the_run_that_is_there_is_asked_for(tmp_path, capfd):
    folder = tmp_path / "runs" / "digits" / "mine"
    one = tiny_settings(
        folder, step="layer_norm", changes={"epochs": 1, "warmup_epochs": 0, "batch_size": 36}
    )
    done = train(one)
    assert ", 1 epoch of 4 steps of 36 images, " in capfd.readouterr().err
    more = dataclasses.replace(one, workers=2, micro_batch=18, checkpoint_every=1.0, compiled=True)
    assert train(more, quiet=True) == done  # nothing of it changes a result
    other = tiny_settings(folder, step="layer_norm", changes={"batch_size": 36})
    with pytest.raises(RefusedError) as refused:
        train(other, quiet=True)
    assert str(refused.value) == (
        f"{folder} holds another run: --epochs 1 before, 2 now; --warmup-epochs 0 before, "
        f"1 now. Use another --output, such as {tmp_path}/runs-2/digits/mine, add --epochs 1 "
        "--warmup-epochs 0 to resume that run, or delete the folder"
    )
    with pytest.raises(
        RefusedError, match=re.escape(f"{folder} holds another run: --seed 0 before")
    ):
        train(dataclasses.replace(one, seed=1), quiet=True)
