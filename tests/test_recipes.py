"""The recipes are those of the table, field for field."""

import dataclasses

import pytest

from roadmap.recipes import FIELDS, RECIPES, Recipe
from roadmap.tables.results import read_rows

TABLE = {row["field"]: row for row in read_rows("paper/recipes")}
NUMBERS = (
    "weight_decay",
    "batch_size",
    "epochs",
    "warmup_epochs",
    "mixup",
    "cutmix",
    "random_erasing",
    "repeated_augmentation",
    "label_smoothing",
    "stochastic_depth",
    "layer_scale",
    "ema_decay",
    "train_size",
    "test_size",
    "test_resize",
)
AUGMENTATION = {
    "none": "none",
    "RandAugment(7, 0.5)": "rand-m7-mstd0.5",
    "RandAugment(9, 0.5)": "rand-m9-mstd0.5",
    "TrivialAugmentWide": "trivial",
}


def test_the_table_has_these_recipes():
    assert set(TABLE["optimizer"]) - {"field"} == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_numbers(name):
    for field in NUMBERS:
        printed = TABLE[field][name]
        value = getattr(RECIPES[name], field)
        assert (float(printed) if printed else None) == value, field
    assert float(TABLE["base_lr"][name]) == RECIPES[name].lr


@pytest.mark.parametrize("name", RECIPES)
def test_words(name):
    recipe = RECIPES[name]
    assert TABLE["optimizer"][name].lower() == recipe.optimizer
    assert TABLE["loss"][name] == recipe.loss.replace("_", " ").replace("cross ", "cross-")
    assert recipe.auto_augment.startswith(AUGMENTATION[TABLE["auto_augment"][name]])
    assert (TABLE["warmup"][name] == "none") == (recipe.warmup_epochs == 0)
    printed = TABLE["norm_weight_decay"][name]
    assert recipe.norm_weight_decay == (None if printed == "same" else float(printed))


@pytest.mark.parametrize("name", RECIPES)
def test_schedule_and_momentum(name):
    recipe, schedule = RECIPES[name], TABLE["schedule"][name]
    if recipe.schedule == "step":
        assert schedule == f"step (every {recipe.step_epochs} epochs, gamma {recipe.step_gamma})"
    else:
        assert schedule == recipe.schedule
    printed = TABLE["momentum_or_betas"][name]
    if recipe.optimizer == "sgd":
        assert float(printed) == recipe.momentum
    elif printed:
        assert tuple(map(float, printed.split(","))) == recipe.betas


def test_every_field_is_described_in_its_order():
    assert list(FIELDS) == [field.name for field in dataclasses.fields(Recipe)]
