"""What a run is asked to do: step, recipe with the changes made to it, data, machine, folder.

Imports no torch: a wrong name or value is refused at once.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from models.config import ModelConfig
from models.text import said
from roadmap.recipes import RECIPES, Recipe
from roadmap.steps import ROADMAPS, unknown_name
from roadmap.text import counted
from roadmap.train.errors import RefusedError
from roadmap.train.schedule import scaled_lr

Scale = Literal["full", "pocket"]
Precision = Literal["float32", "bf16"]
#: A test image's side, at most.
MOST_PIXELS = 16_384
SIZES = f"1 to {MOST_PIXELS:,} pixels"

#: Images in a batch: the list of a batch alone is then 8 MB.
MOST_IMAGES = 1_000_000
#: The largest seed of torch's generators; numpy's take any.
MOST_SEED = 2**64 - 1

_HINTS = get_type_hints(Recipe)
#: Fields that may be 0 and those that must not, where the type alone does not say.
_AT_LEAST_ONE = ("batch_size", "epochs", "step_epochs", "ema_every", "train_size", "test_size")
_UNDER_ONE = ("label_smoothing", "stochastic_depth", "momentum", "ema_decay")
#: Lengths that shorten with a run, as its messages name them.
_LENGTHS = {"warmup_epochs": "warm-up", "step_epochs": "learning rate steps"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run. ``recipe`` is complete: every change is already in it.

    ``micro_batch``: images at once through the network on each process (None: all of its share).
    ``checkpoint_every``: seconds. ``output`` None: a folder named after data, step and seed.
    ``step`` None: a point of a design, with ``network`` and, for run.json, what it is in ``point``
    (``design``, ``key``, ``role``, ``levels``).
    """

    roadmap: str = "resnet50"
    step: str | None = "separate_downsampling"
    network: ModelConfig | None = None
    point: Mapping[str, Any] | None = dataclasses.field(default=None, hash=False)
    recipe: Recipe
    #: None: the step's own.
    recipe_name: str | None = None
    data: str | None = None
    scale: Scale = "full"
    seed: int = 0
    device: str | None = None
    precision: Precision | None = None
    compiled: bool = False
    micro_batch: int | None = None
    sync_batch_norm: bool = True
    checkpoint_every: float = 300.0
    tensorboard: bool = False
    workers: int | None = None
    output: Path | None = None
    #: Continue a run whose data has changed since, and record that.
    accept_changed_data: bool = False

    @property
    def subject(self) -> str:
        """What is trained, for the names of folders and for messages."""
        if self.point is None:
            return f"{self.roadmap}-{self.step}"
        return f"{self.point['design']}-{self.point['key']}"


def choose_recipe(
    roadmap: str,
    step: str,
    name: str | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    image_size: int | None = None,
    scale: Scale = "full",
) -> tuple[Recipe, list[str]]:
    """The recipe of a run, and a sentence about each value that follows from another.

    The step's own recipe, or ``RECIPES[name]``; made small for ``scale`` pocket; then tested at
    ``image_size`` with the other sizes in proportion; then ``changes``. A batch size changed
    without the learning rate scales the rate; fewer epochs shorten the warm-up and the steps of
    the learning rate, where those are not changed too. Raises ``RefusedError``.
    """
    recipe = _named_recipe(roadmap, step, name)
    if scale == "pocket":
        from roadmap.train.pocket import pocket_recipe

        recipe = pocket_recipe(recipe)
    notes = []
    changes = dict(changes or {})
    if image_size is not None:
        _check("image_size", image_size, 1 <= image_size <= MOST_PIXELS, SIZES)
        sizes = sizes_at(image_size, recipe)
        changes = sizes | changes
        if changes["train_size"] == sizes["train_size"] != image_size:
            notes.append(
                f"training at {sizes['train_size']} pixels: the recipe's {recipe.train_size} of "
                f"{recipe.test_size}, in proportion"
            )
    if "batch_size" in changes and "lr" not in changes:
        _check_fields(recipe.replace(batch_size=changes["batch_size"]))
        changes["lr"] = scaled_lr(recipe, changes["batch_size"])
        if changes["lr"] != recipe.lr:
            notes.append(
                f"learning rate {changes['lr']:g}: the recipe's {recipe.lr:g} at batch size "
                f"{recipe.batch_size} scaled to {changes['batch_size']}"
            )
    for name, value in _shorter(recipe, changes).items():
        before = getattr(recipe, name)
        if name not in changes and value != before:
            changes[name] = value
            notes.append(
                f"{_LENGTHS[name]} of {counted(value, 'epoch')}: the recipe's {before} of "
                f"{recipe.epochs}, shortened with the run"
            )
    recipe = recipe.replace(**changes)
    _check_fields(recipe)
    return recipe, notes


def check_seed(seed: int) -> None:
    """Raises ``RefusedError`` for a seed that the generators do not take."""
    good = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= MOST_SEED
    _check("seed", seed, good, f"a whole number from 0 to {MOST_SEED}")


def sizes_at(image_size: int, recipe: Recipe) -> dict[str, int]:
    """``recipe``'s sizes, in pixels and in proportion, when it tests at ``image_size``."""
    ratio = image_size / recipe.test_size
    return {
        "train_size": max(1, round(ratio * recipe.train_size)),
        "test_size": image_size,
        "test_resize": round(ratio * recipe.test_resize),
    }


def recorded_view(recipe: Any) -> Recipe:
    """How ``recipe``, the fields that a file has, looks at a test image: size, resize and
    interpolation. ConvNeXt's way for what it does not say. Raises ``RefusedError``.
    """
    if not isinstance(recipe, dict):
        raise RefusedError(f"its recipe is {said(recipe)}; use an object of fields and values")
    names = ("test_size", "test_resize", "interpolation")
    given = {name: recipe[name] for name in names if name in recipe}
    for name, value in given.items():
        if name == "interpolation":
            known = get_args(_HINTS[name])
            _check(f"its recipe's {name}", value, value in known, " or ".join(known))
        else:
            good = type(value) is int and 1 <= value <= MOST_PIXELS
            _check(f"its recipe's {name}", value, good, SIZES)
    view = RECIPES["convnext"].replace(**given)
    _check_fields(view)
    return view


def trained_config(settings: Settings) -> ModelConfig:
    """The network that ``settings`` train, still with the paper's classes and channels."""
    if settings.network is not None:
        return settings.network
    return run_config(settings.roadmap, settings.step, settings.recipe, scale=settings.scale)


def run_config(roadmap: str, step: str, recipe: Recipe, *, scale: Scale = "full") -> ModelConfig:
    """The network of a step that ``recipe`` trains, with the paper's classes and channels.

    Stochastic depth is the recipe's. Layer scale belongs to the architecture: a network that has
    it takes the recipe's initial value, if the recipe names one; no other network gets it.
    """
    config = ROADMAPS[roadmap].config(step)
    if scale == "pocket":
        from roadmap.train.pocket import pocket_config

        config = pocket_config(config)
    changes: dict[str, Any] = {"stochastic_depth": recipe.stochastic_depth}
    if config.layer_scale is not None and recipe.layer_scale is not None:
        changes["layer_scale"] = recipe.layer_scale
    return config.replace(**changes)


def parse_field(name: str, text: str) -> Any:
    """``text`` from the command line as a value of the recipe's field ``name``.

    ``none`` where the field may be None; two numbers as ``0.9,0.999``. Raises ``RefusedError``.
    """
    kinds = _kinds(name)
    if type(None) in kinds and text.lower() == "none":
        return None
    kind = kinds[0]
    option = "--" + name.replace("_", "-")
    try:
        if get_origin(kind) is Literal:
            if text not in get_args(kind):
                raise RefusedError(f"{option}: {unknown_name(name, text, get_args(kind))}")
            return text
        if get_origin(kind) is tuple:
            first, second = (float(part) for part in text.split(","))
            return (first, second)
        return kind(text)
    except (TypeError, ValueError):
        raise RefusedError(f"{option} is {said(text)}; use {describe_field(name)}") from None


def describe_field(name: str) -> str:
    """What values the recipe's field ``name`` takes, in words."""
    kinds = _kinds(name)
    kind = kinds[0]
    if get_origin(kind) is Literal:
        words = " or ".join(get_args(kind))
    elif get_origin(kind) is tuple:
        words = "two numbers such as 0.9,0.999"
    else:
        words = {int: "a whole number", float: "a number"}.get(kind, "text")
    return words + (" or none" if type(None) in kinds else "")


def flat_differences(before: Any, after: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Where two JSON values differ, as ``{"recipe.lr": (before, after)}``."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in [*before, *(key for key in after if key not in before)]:
            place = f"{path}.{key}" if path else key
            found |= flat_differences(before.get(key), after.get(key), place)
        return found
    return {} if before == after else {path: (before, after)}


def _named_recipe(roadmap: str, step: str, name: str | None) -> Recipe:
    if roadmap not in ROADMAPS:
        raise RefusedError(unknown_name("roadmap", roadmap, tuple(ROADMAPS)))
    if step not in ROADMAPS[roadmap].keys:
        raise RefusedError(unknown_name(f"step of {roadmap}", step, ROADMAPS[roadmap].keys))
    if name is None:
        return ROADMAPS[roadmap].recipe(step)
    if name not in RECIPES:
        raise RefusedError(unknown_name("recipe", name, tuple(RECIPES)))
    return RECIPES[name]


def _shorter(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, int]:
    """The lengths within ``recipe`` that fewer epochs shorten: in proportion, to one at least
    (but no warm-up where there is one epoch in all)."""
    epochs = changes.get("epochs", recipe.epochs)
    if not 0 < epochs < recipe.epochs:
        return {}
    lengths = {}
    if recipe.warmup_epochs:
        share = recipe.warmup_epochs * epochs // recipe.epochs
        lengths["warmup_epochs"] = min(max(share, 1), epochs - 1)
    if changes.get("schedule", recipe.schedule) == "step":
        lengths["step_epochs"] = max(1, round(recipe.step_epochs * epochs / recipe.epochs))
    return lengths


def _kinds(name: str) -> tuple[Any, ...]:
    """The types of a field, None's last."""
    hint = _HINTS[name]
    if get_origin(hint) in (Union, types.UnionType):
        return get_args(hint)
    return (hint,)


def _check_fields(recipe: Recipe) -> None:
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, str) or number is None for number in numbers):
            continue
        low = 1 if field.name in _AT_LEAST_ONE else 0
        below = 1 if field.name in _UNDER_ONE or field.name == "betas" else math.inf
        wanted = f"{low} or more" + (" and under 1" if below == 1 else "")
        _check(field.name, value, all(low <= number < below for number in numbers), wanted)
    most = recipe.batch_size <= MOST_IMAGES
    _check("batch_size", recipe.batch_size, most, f"1 to {MOST_IMAGES:,}")
    _check("random_erasing", recipe.random_erasing, recipe.random_erasing <= 1, "0 to 1")
    _check(
        "warmup_epochs",
        recipe.warmup_epochs,
        recipe.warmup_epochs == 0 or recipe.warmup_epochs < recipe.epochs,
        f"fewer than the {counted(recipe.epochs, 'epoch')} of the run (--warmup-epochs)",
    )
    _check(
        "test_resize",
        recipe.test_resize,
        recipe.test_resize >= recipe.test_size,
        f"at least test_size, {recipe.test_size}",
    )


def _check(name: str, value: Any, good: bool, wanted: str) -> None:
    if not good:
        raise RefusedError(f"{name} is {said(value)}; use {wanted}")
