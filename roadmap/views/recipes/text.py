"""Training recipes in words: titles of fields and formats of values."""

from __future__ import annotations

from roadmap.recipes import OPTIMIZERS, Recipe
from roadmap.text import ABSENT, number, scientific
from roadmap.views.common.recipe_changes import augmentation

TITLES = {
    "resnet_standard": "ResNet",
    "resnet_timm_a1": "timm A1",
    "resnet_torchvision": "TorchVision",
    "convnext": "ConvNeXt",
}
#: Field titles by subject.
SUBJECTS = {
    "Optimization": {
        "optimizer": "Optimizer",
        "lr": "Learning rate",
        "batch_size": "Batch size",
        "weight_decay": "Weight decay",
        "norm_weight_decay": "… for norms and biases",
        "momentum": "Momentum",
        "betas": "Betas",
        "loss": "Loss",
    },
    "Schedule": {
        "epochs": "Epochs",
        "schedule": "Decay",
        "step_epochs": "… every, epochs",
        "step_gamma": "… by a factor",
        "warmup_epochs": "Linear warm-up, epochs",
    },
    "Augmentation": {
        "auto_augment": "Operations",
        "mixup": "Mixup, alpha",
        "cutmix": "CutMix, alpha",
        "random_erasing": "Random erasing, probability",
        "erasing_fill": "… filled with",
        "repeated_augmentation": "Repeats per image",
    },
    "Regularization": {
        "label_smoothing": "Label smoothing",
        "stochastic_depth": "Stochastic depth",
        "layer_scale": "Layer scale",
    },
    "Weight average": {
        "ema_decay": "Decay",
        "ema_every": "Every, steps",
    },
    "Images": {
        "train_size": "Training size, px",
        "test_size": "Test size, px",
        "test_resize": "Test resize, px",
        "interpolation": "Interpolation",
    },
}
VALUES = {
    **{key: optimizer.title for key, optimizer in OPTIMIZERS.items()},
    "none": "none",
    "trivial": "TrivialAugmentWide",
    "cross_entropy": "cross-entropy",
    "binary_cross_entropy": "binary cross-entropy",
    "mean": "the mean color",
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
    found = getattr(recipe, field)
    if found is None:
        return "as for weights" if field == "norm_weight_decay" else "none"
    if field == "repeated_augmentation":
        return str(found) if found else "none"
    if isinstance(found, tuple):
        return ", ".join(f"{part:g}" for part in found)
    if field == "auto_augment" and (words := augmentation(found)):
        return words
    if isinstance(found, float):
        if 0 < found < 1e-5:
            return scientific(found)
        return f"{found:.5f}".rstrip("0").rstrip(".")
    if type(found) is int:
        return number(found, 0)
    return VALUES.get(str(found), str(found).replace("_", " "))
