"""What a step changes in the training recipe, in words."""

from __future__ import annotations

from models.config import differences
from roadmap.definition import Roadmap
from roadmap.recipes import OPTIMIZERS
from roadmap.train.data.images import DataError
from roadmap.train.data.policies import RandAugment, policy

NAMES = {
    "lr": "learning rate",
    "norm_weight_decay": "weight decay for norms and biases",
    "step_epochs": "epochs between decays",
    "step_gamma": "decay factor",
    "auto_augment": "automatic augmentation",
    "ema_decay": "decay of the weight average",
    "ema_every": "steps between averages",
    "train_size": "training image, pixels",
    "test_size": "test image, pixels",
    "test_resize": "test image resized to, pixels",
    "init": "initialization",
    "mixup": "Mixup, alpha",
    "cutmix": "CutMix, alpha",
}
VALUES = {"trivial": "TrivialAugmentWide"} | {
    key: optimizer.title for key, optimizer in OPTIMIZERS.items()
}


def recipe_changes(roadmap: Roadmap, key: str) -> list[tuple[str, str, str]]:
    """Return name, value before and value after of each recipe field that the step changes."""
    previous = roadmap.previous(key)
    if previous is None:
        return []
    old, new = vars(roadmap.recipe(previous.key)), vars(roadmap.recipe(key))
    rows = [(name, old[name], new[name]) for name in new if old[name] != new[name]]
    changed = differences(roadmap.config(previous.key), roadmap.config(key))
    rows += [(name, *changed[name]) for name in ("init",) if name in changed]
    return [
        (NAMES.get(name, name.replace("_", " ")), _plain(name, before), _plain(name, after))
        for name, before, after in rows
    ]


def _plain(name: str, value: object) -> str:
    if value is None:
        return "as for weights" if name == "norm_weight_decay" else "none"
    if isinstance(value, float):
        return f"{value:.10f}".rstrip("0").rstrip(".")
    if name == "auto_augment" and (words := augmentation(str(value))):
        return words
    return VALUES.get(str(value), str(value).replace("_", " "))


def augmentation(value: str) -> str | None:
    """Return timm's string for RandAugment in words; None for any other value."""
    try:
        found = policy(value)
    except DataError:
        return None
    return f"RandAugment, magnitude {found.magnitude}" if isinstance(found, RandAugment) else None
