"""Training recipes in words: their titles, and the values of fields where they apply."""

from __future__ import annotations

from roadmap.recipes import OPTIMIZERS, Recipe
from roadmap.text import ABSENT
from roadmap.views.common.recipe_text import value_text

TITLES = {
    "resnet_standard": "ResNet",
    "resnet_timm_a1": "timm A1",
    "resnet_torchvision": "TorchVision",
    "convnext": "ConvNeXt",
}
#: Conditions under which a field applies.
APPLIES = {
    "momentum": lambda recipe: OPTIMIZERS[recipe.optimizer].moments == 1,
    "betas": lambda recipe: OPTIMIZERS[recipe.optimizer].moments == 2,
    "step_epochs": lambda recipe: recipe.schedule == "step",
    "step_gamma": lambda recipe: recipe.schedule == "step",
    "erasing_fill": lambda recipe: recipe.random_erasing > 0,
    "ema_every": lambda recipe: recipe.ema_decay is not None,
}


def value(recipe: Recipe, field: str) -> str:
    """Return a field as the page prints it; a dash where it does not apply."""
    if field in APPLIES and not APPLIES[field](recipe):
        return ABSENT
    return value_text(field, getattr(recipe, field))
