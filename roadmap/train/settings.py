"""Settings of a run: step, recipe with changes, data, machine, folder.

Imports no torch, so that wrong names and values are refused at once.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from models.config import ModelConfig
from models.text import said, unknown_name
from roadmap.errors import RefusedError
from roadmap.recipes import FIELDS, NAMED_RECIPES, RECIPES, Recipe, option_name
from roadmap.runs.record import IDENTITY
from roadmap.schedule import scaled_lr
from roadmap.steps import ROADMAPS
from roadmap.text import counted

Scale = Literal["full", "pocket"]
Precision = Literal["float32", "bf16"]
#: The step that is trained if none is named.
STEP = "separate_downsampling"
#: Largest side of a test image.
MOST_PIXELS = 16_384
SIZES = f"1 to {MOST_PIXELS:,} pixels"

#: Most images in a batch, whose list of images alone then takes 8 MB.
MOST_IMAGES = 1_000_000
#: Largest seed of torch's generators; numpy's accept any.
MOST_SEED = 2**64 - 1

#: Layer-wise decay of the learning rate for networks trained on ImageNet-1K; 0.8 after
#: ImageNet-22K (Liu et al. 2022, Table 6).
LAYER_DECAY = 0.7
#: Of so many classes, or fewer, top-5 is always 100%, and not printed.
ALWAYS_TOP5 = 5
WEIGHTS_ENDINGS = (".safetensors", ".pth", ".pt", ".tar", ".bin")

_HINTS = get_type_hints(Recipe)
#: Bounds of fields that do not follow from their type.
_AT_LEAST_ONE = ("batch_size", "epochs", "step_epochs", "ema_every", "train_size", "test_size")
_UNDER_ONE = ("label_smoothing", "stochastic_depth", "momentum", "ema_decay")
#: Values of ``auto_augment``, the only field of text.
POLICIES = "none, trivial or a RandAugment policy such as rand-m9-mstd0.5-inc1"
#: Lengths that shrink with the run, with their names in messages.
_LENGTHS = {"warmup_epochs": "warm-up", "step_epochs": "learning rate steps"}


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where fine-tuning starts: ``weights`` is a file, a run's folder or a name in timm.

    The learning rate of a layer is multiplied by ``layer_decay`` once per group of layers after it
    (``optimizer.lr_scale``). The stem and the first ``frozen_stages`` stages keep their weights
    if it is not 0. ``network`` is for files that do not record it. A ``Path`` as ``weights`` is
    stored as text. Raises ``RefusedError`` for a value out of range.
    """

    weights: str
    layer_decay: float = LAYER_DECAY
    frozen_stages: int = 0
    network: ModelConfig | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", os.fspath(self.weights))  # run.json takes text
        _check("--weights", self.weights, bool(self.weights), "a file, a run's folder or a name")
        good = 0 < self.layer_decay <= 1
        _check("--layer-decay", self.layer_decay, good, "a number over 0, up to 1")
        _check("--frozen-stages", self.frozen_stages, self.frozen_stages >= 0, "0 or more")

    @property
    def name(self) -> str:
        """Return a name of the weights for folders of runs."""
        path = Path(self.weights)
        if path.suffix in WEIGHTS_ENDINGS:
            path = path.parent if (path.parent / "run.json").is_file() else path.with_suffix("")
        return path.resolve().name.replace(":", "-") or "weights"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run. ``recipe`` is complete: it includes every change.

    ``micro_batch`` is the number of images per forward pass of a process [default: its share of the
    batch], ``checkpoint_every`` in seconds. ``output`` None means a folder named after data, step
    and seed. ``step`` None means a point of a design: ``network`` is its config and ``point``
    describes it for run.json (``design``, ``key``, ``role``, ``levels``); or, with ``start``, the
    network of trained weights. Raises ``RefusedError`` for a seed out of range.
    """

    roadmap: str = "resnet50"
    step: str | None = STEP
    network: ModelConfig | None = None
    point: Mapping[str, Any] | None = dataclasses.field(default=None, hash=False)
    start: Start | None = None
    recipe: Recipe
    #: None: the step's recipe.
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
    #: The tools that the run reports to, as ``trackers.TRACKERS`` names them.
    trackers: tuple[str, ...] = ()
    workers: int | None = None
    output: Path | None = None
    #: Continue a run whose data has changed, and record the change.
    accept_changed_data: bool = False

    def __post_init__(self) -> None:
        check_seed(self.seed, "--seed")

    @property
    def subject(self) -> str:
        """Return what is trained, for folder names and messages."""
        if self.start is not None:
            return f"fine_tune-{self.start.name}"
        if self.point is None:
            return f"{self.roadmap}-{self.step}"
        return f"{self.point['design']}-{self.point['key']}"

    @property
    def folder_name(self) -> str:
        return f"{self.subject}-seed{self.seed}"

    def identity(self, config: ModelConfig, device_type: str | None) -> dict[str, Any]:
        """Return what run.json records about the settings and resumed runs must share, with lists
        instead of tuples. The precision is None if it depends on an unknown ``device_type``."""
        precision = device_type and default_precision(device_type, self.scale)
        known = vars(self) | {
            "step": None if self.start else self.step,
            "config": config.to_dict(),
            "recipe": dataclasses.asdict(self.recipe),
            "precision": self.precision or precision,
            "device_type": device_type,
        }
        # The start is recorded with the SHA-256 of its weights, once they are read.
        return json.loads(json.dumps({name: known[name] for name in IDENTITY if name != "start"}))


def choose_recipe(
    roadmap: str,
    step: str,
    name: str | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    image_size: int | None = None,
    scale: Scale = "full",
) -> tuple[Recipe, list[str]]:
    """Return the recipe of a run, and one sentence per derived value.

    It starts from the step's recipe or ``NAMED_RECIPES[name]``, shrunk if ``scale`` is pocket, with
    test size ``image_size`` and the other sizes in proportion, and then applies ``changes``. A
    changed batch size scales the learning rate, and fewer epochs shorten the warm-up and the
    intervals of the step schedule, unless ``changes`` sets these as well. Raises ``RefusedError``.
    """
    recipe = _named_recipe(roadmap, step, name)
    if scale == "pocket":
        from roadmap.train.pocket import pocket_recipe

        recipe = pocket_recipe(recipe)
    notes = []
    changes = dict(changes or {})
    if image_size is not None:
        _check("--image-size", image_size, 1 <= image_size <= MOST_PIXELS, SIZES)
        sizes = sizes_at(image_size, recipe)
        changes = sizes | changes
        if changes["train_size"] == sizes["train_size"] != image_size:
            notes.append(
                f"training size {sizes['train_size']} pixels: scaled from the recipe's "
                f"{recipe.train_size} at test size {recipe.test_size}"
            )
    if "batch_size" in changes and "lr" not in changes:
        _check_fields(recipe.replace(batch_size=changes["batch_size"]))
        changes["lr"] = scaled_lr(recipe, changes["batch_size"])
        if changes["lr"] != recipe.lr:
            notes.append(
                f"learning rate {changes['lr']:g}: scaled from the recipe's {recipe.lr:g} at "
                "batch size "
                f"{recipe.batch_size} to {changes['batch_size']}"
            )
    for name, value in _shorter(recipe, changes).items():
        before = getattr(recipe, name)
        if name not in changes and value != before:
            changes[name] = value
            notes.append(
                f"{_LENGTHS[name]} {counted(value, 'epoch')}: scaled from the recipe's {before} of "
                f"{recipe.epochs} epochs"
            )
    recipe = recipe.replace(**changes)
    _check_fields(recipe)
    return recipe, notes


def check_seed(seed: int, name: str = "seed") -> None:
    """Raise ``RefusedError``, with ``name``, for a seed that the generators do not accept."""
    good = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= MOST_SEED
    _check(name, seed, good, f"a whole number from 0 to {MOST_SEED}")


def sizes_at(image_size: int, recipe: Recipe) -> dict[str, int]:
    """Return ``recipe``'s sizes in pixels, scaled in proportion to test size ``image_size``."""
    ratio = image_size / recipe.test_size
    return {
        "train_size": max(1, round(ratio * recipe.train_size)),
        "test_size": image_size,
        "test_resize": round(ratio * recipe.test_resize),
    }


def recorded_view(recipe: Any) -> Recipe:
    """Return test size, resize and interpolation of ``recipe``, the fields in a file; missing
    fields are as in ConvNeXt. Raises ``RefusedError``.
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
    _check_fields(view, "its recipe's {}".format)
    return view


def scoring_view(facts: Mapping[str, Any], image_size: int | None, source: str) -> Recipe:
    """Return the ``recorded_view`` of weights with these ``facts``, at ``image_size`` if given.

    Raises ``RefusedError`` that names ``source`` or the option.
    """
    try:
        recipe = recorded_view(facts.get("recipe", {}))
    except RefusedError as error:
        raise RefusedError(f"{source}: {error}") from None
    if image_size is None:
        return recipe
    if not 1 <= image_size <= MOST_PIXELS:
        raise RefusedError(f"--image-size is {said(image_size)}; use {SIZES}")
    return recipe.replace(**sizes_at(image_size, recipe))


def trained_config(settings: Settings) -> ModelConfig:
    """Return the network of ``settings``, still with the paper's classes and channels."""
    if settings.network is not None:
        return settings.network
    assert settings.step is not None  # a point of a design has its network
    return run_config(settings.roadmap, settings.step, settings.recipe, scale=settings.scale)


def run_config(roadmap: str, step: str, recipe: Recipe, *, scale: Scale = "full") -> ModelConfig:
    """Return the network of a step under ``recipe``, with the paper's classes and channels.

    Stochastic depth comes from the recipe. Layer scale belongs to the architecture: a network with
    layer scale uses the recipe's initial value if there is one; other networks never get it.
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
    """Convert ``text`` from the command line to a value of the recipe's field ``name``.

    ``none`` means None if the field may be None; two numbers are written ``0.9,0.999``. Raises
    ``RefusedError``.
    """
    kinds = _kinds(name)
    if type(None) in kinds and text.lower() == "none":
        return None
    kind = kinds[0]
    option = option_name(name)
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
        raise RefusedError(f"{option} is {said(text)}; use {_values(name)}") from None


def unchanged_recipe(roadmap: str, step: str | None, recipe: str | None, scale: Scale) -> Recipe:
    """Return a run's recipe before the changes of its options; ``step`` is None in fine-tuning,
    whose recipe has a name. Raises ``RefusedError`` if this version does not have the recipe."""
    step = step or ROADMAPS[roadmap].keys[-1]
    return choose_recipe(roadmap, step, recipe, scale=scale)[0]


def default_precision(device_type: str, scale: str) -> Precision:
    """Return a run's precision: pocket runs of all machines have the same."""
    return "bf16" if device_type == "cuda" and scale == "full" else "float32"


def describe_field(name: str) -> str:
    """Describe the recipe's field ``name`` and the values that it accepts."""
    return f"{FIELDS[name].meaning or FIELDS[name].title}: {_values(name)}"


def _values(name: str) -> str:
    kinds = _kinds(name)
    kind = kinds[0]
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        words = f"{', '.join(others)} or {last}"
    elif get_origin(kind) is tuple:
        words = "two numbers such as 0.9,0.999"
    else:
        words = {int: "a whole number", float: "a number"}.get(kind, POLICIES)
    return words + (" or none" if type(None) in kinds else "")


def flat_differences(before: Any, after: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Return where two JSON values differ, as ``{"recipe.lr": (before, after)}``."""
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
    if name not in NAMED_RECIPES:
        raise RefusedError(unknown_name("recipe", name, tuple(NAMED_RECIPES)))
    return NAMED_RECIPES[name]


def _shorter(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, int]:
    """Return the lengths in ``recipe`` that fewer epochs shorten in proportion, to at least one
    epoch (but no warm-up in a run of one epoch)."""
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
    """Return the types of a field, None's last."""
    hint = _HINTS[name]
    if get_origin(hint) in (Union, types.UnionType):
        return get_args(hint)
    return (hint,)


def _check_fields(recipe: Recipe, named: Callable[[str], str] = option_name) -> None:
    """Raise ``RefusedError`` for a value out of range; ``named`` names fields in messages."""
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, str) or number is None for number in numbers):
            continue
        low = 1 if field.name in _AT_LEAST_ONE else 0
        below = 1 if field.name in _UNDER_ONE or field.name == "betas" else math.inf
        wanted = f"{low} or more" + (" and under 1" if below == 1 else "")
        _check(named(field.name), value, all(low <= number < below for number in numbers), wanted)
    most = recipe.batch_size <= MOST_IMAGES
    _check(named("batch_size"), recipe.batch_size, most, f"1 to {MOST_IMAGES:,}")
    erasing = recipe.random_erasing
    _check(named("random_erasing"), erasing, erasing <= 1, "0 to 1")
    _check(
        named("warmup_epochs"),
        recipe.warmup_epochs,
        recipe.warmup_epochs == 0 or recipe.warmup_epochs < recipe.epochs,
        f"fewer than the {counted(recipe.epochs, 'epoch')} of the run",
    )
    _check(
        named("test_resize"),
        recipe.test_resize,
        recipe.test_resize >= recipe.test_size,
        f"at least {named('test_size')}, {recipe.test_size}",
    )


def _check(name: str, value: Any, good: bool, wanted: str) -> None:
    if not good:
        raise RefusedError(f"{name} is {said(value)}; use {wanted}")
