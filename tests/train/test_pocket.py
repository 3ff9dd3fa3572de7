"""Pocket networks and recipes keep everything but their size."""

from __future__ import annotations

import pytest
from training_runs import tiny_settings

from models.config import ModelConfig, differences
from models.spec import network_spec, placed_layers
from roadmap.recipes import RECIPES
from roadmap.steps import ROADMAPS
from roadmap.train.pocket import EPOCHS, IMAGE_SIZE, pocket_config, pocket_recipe

STEPS = [(name, key) for name, roadmap in ROADMAPS.items() for key in roadmap.keys]


@pytest.mark.parametrize(("name", "key"), STEPS)
def test_a_pocket_network_differs_in_width_and_depth_only(name, key):
    full = ROADMAPS[name].config(key, num_classes=10)
    pocket = pocket_config(full)
    assert set(differences(full, pocket)) == {"width", "depths"}
    assert pocket.width * 4 == full.width
    sizes = [layer.out_size for layer in placed_layers(network_spec(pocket), IMAGE_SIZE)]
    assert sizes[-1] == 1, "every stage has pixels, the last one of them"


def test_the_stage_ratio_survives():
    before, after = (
        pocket_config(ROADMAPS["resnet50"].config(k)) for k in ("training", "stage_ratio")
    )
    assert before.depths == (1, 1, 2, 1)
    assert after.depths == (1, 1, 3, 1)
    assert pocket_config(ROADMAPS["resnet200"].config("baseline")).depths == (1, 8, 12, 1)


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_pocket_recipe_keeps_every_technique(name):
    full, pocket = RECIPES[name], pocket_recipe(RECIPES[name])
    changed = {name for name, value in vars(full).items() if getattr(pocket, name) != value}
    assert changed <= {"batch_size", "lr", "epochs", "warmup_epochs", "step_epochs"} | {
        "train_size", "test_size", "test_resize", "ema_decay", "ema_every"
    }  # fmt: skip
    assert (pocket.ema_decay is None) == (full.ema_decay is None)
    assert (pocket.warmup_epochs == 0) == (full.warmup_epochs == 0)
    assert pocket.step_epochs * 3 == pocket.epochs == EPOCHS
    assert pocket.train_size == pocket.test_size == pocket.test_resize == IMAGE_SIZE


@pytest.mark.parametrize(
    ("scale", "device", "precision"),
    [("pocket", "cuda", "float32"), ("full", "cuda", "bf16"), ("full", "cpu", "float32")],
)
def test_pocket_runs_of_all_machines_have_one_precision(scale, device, precision, tmp_path):
    settings = tiny_settings(tmp_path, scale=scale)
    assert settings.identity(ModelConfig(), device)["precision"] == precision
