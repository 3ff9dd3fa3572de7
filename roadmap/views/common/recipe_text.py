"""Training recipes in words: the value of a field, and what a step changes."""

from __future__ import annotations

from models.config import differences
from roadmap.definition import Roadmap
from roadmap.recipes import FIELDS, OPTIMIZERS
from roadmap.text import number, scientific
from roadmap.train.data.images import DataError
from roadmap.train.data.policies import RandAugment, policy

#: Values that are not their name in Python with spaces.
VALUES = {
    **{key: optimizer.title for key, optimizer in OPTIMIZERS.items()},
    "trivial": "TrivialAugmentWide",
    "cross_entropy": "cross-entropy",
    "binary_cross_entropy": "binary cross-entropy",
    "mean": "the mean color",
}


def recipe_changes(roadmap: Roadmap, key: str) -> list[tuple[str, str, str]]:
    """Return name, value before and value after of each recipe field that the step changes."""
    previous = roadmap.previous(key)
    if previous is None:
        return []
    old, new = vars(roadmap.recipe(previous.key)), vars(roadmap.recipe(key))
    changed = {
        FIELDS[name].alone or name.replace("_", " "): (name, old[name], new[name])
        for name in new
        if old[name] != new[name]
    }
    config = differences(roadmap.config(previous.key), roadmap.config(key))
    if "init" in config:
        changed["initialization"] = ("init", *config["init"])
    return [
        (title, value_text(name, before), value_text(name, after))
        for title, (name, before, after) in changed.items()
    ]


def value_text(field: str, value: object) -> str:
    """Return the value of a recipe's field as pages print it."""
    if value is None:
        return "as for weights" if field == "norm_weight_decay" else "none"
    if field == "repeated_augmentation" and not value:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"{part:g}" for part in value)
    if isinstance(value, float):
        if 0 < value < 1e-5:
            return scientific(value)
        return f"{value:.5f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return number(value, 0)
    if field == "auto_augment" and (words := _augmentation(str(value))):
        return words
    return VALUES.get(str(value), str(value).replace("_", " "))


def _augmentation(value: str) -> str | None:
    """Return timm's string for RandAugment in words; None for any other value."""
    try:
        found = policy(value)
    except DataError:
        return None
    return f"RandAugment, magnitude {found.magnitude}" if isinstance(found, RandAugment) else None
