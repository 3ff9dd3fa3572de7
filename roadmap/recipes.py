"""Training recipes, as data.

Sources: He et al. 2016; Wightman et al. 2021 (arXiv:2110.00476), recipe A1; the TorchVision recipe
(PyTorch blog, "How to Train State-Of-The-Art Models Using TorchVision's Latest Primitives"); Liu
et al. 2022 (arXiv:2201.03545v2), Table 5. ``results/paper/recipes.csv`` compares them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from models.text import said


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained. The defaults are the standard ResNet recipe (He et al. 2016).

    ``SUBJECTS`` describes the fields. Raises ``ValueError`` for a value that is not among a field's
    ``CHOICES``.
    """

    optimizer: Literal["sgd", "lamb", "adamw"] = "sgd"
    lr: float = 0.1
    batch_size: int = 256
    weight_decay: float = 1e-4
    norm_weight_decay: float | None = None
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    loss: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy"

    epochs: int = 90
    schedule: Literal["step", "cosine"] = "step"
    step_epochs: int = 30
    step_gamma: float = 0.1
    warmup_epochs: int = 0

    auto_augment: str = "none"
    mixup: float = 0.0
    cutmix: float = 0.0
    random_erasing: float = 0.0
    erasing_fill: Literal["mean", "noise"] = "mean"
    repeated_augmentation: int = 0

    label_smoothing: float = 0.0
    stochastic_depth: float = 0.0
    layer_scale: float | None = None

    ema_decay: float | None = None
    ema_every: int = 1

    train_size: int = 224
    test_size: int = 224
    test_resize: int = 256
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                listed = " or ".join(map(repr, choices))
                raise ValueError(f"{name} is {said(getattr(self, name))}; use {listed}")

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, in pairs of neighbors in the batch."""
        return bool(self.mixup or self.cutmix)

    def replace(self, **changes: Any) -> Recipe:
        return dataclasses.replace(self, **changes)


class FieldText(NamedTuple):
    """A field of ``Recipe`` in words."""

    #: Where it stands below its subject, as on the Recipes page.
    title: str
    #: In the help of ``train`` and in the reference [default: ``title``].
    meaning: str = ""
    #: Where it stands alone, as in the changes of a step [default: its name in Python].
    alone: str = ""


#: Every field of ``Recipe`` in words, by subject and in order.
SUBJECTS: dict[str, dict[str, FieldText]] = {
    "Optimization": {
        "optimizer": FieldText("Optimizer"),
        "lr": FieldText(
            "Learning rate", "Learning rate for --batch-size images per step", "learning rate"
        ),
        "batch_size": FieldText("Batch size", "Images per optimizer step, over all GPUs"),
        "weight_decay": FieldText("Weight decay"),
        "norm_weight_decay": FieldText(
            "… for norms and biases",
            "Weight decay of norms and biases, none for that of all other weights",
            "weight decay for norms and biases",
        ),
        "momentum": FieldText("Momentum", "Momentum of SGD"),
        "betas": FieldText("Betas", "Betas of LAMB and AdamW"),
        "loss": FieldText("Loss"),
    },
    "Schedule": {
        "epochs": FieldText("Epochs"),
        "schedule": FieldText("Decay", "Decay of the learning rate"),
        "step_epochs": FieldText(
            "… every, epochs",
            "Epochs between the decays of the step schedule",
            "epochs between decays",
        ),
        "step_gamma": FieldText(
            "… by a factor", "Factor of each decay of the step schedule", "decay factor"
        ),
        "warmup_epochs": FieldText("Linear warm-up, epochs", "Epochs of linear warm-up"),
    },
    "Augmentation": {
        "auto_augment": FieldText("Operations", "Augmentation policy", "automatic augmentation"),
        "mixup": FieldText("Mixup, alpha", "Mixup alpha, 0 for no mixup", "Mixup, alpha"),
        "cutmix": FieldText("CutMix, alpha", "CutMix alpha, 0 for no CutMix", "CutMix, alpha"),
        "random_erasing": FieldText(
            "Random erasing, probability", "Probability per image of erasing a rectangle"
        ),
        "erasing_fill": FieldText(
            "… filled with", "Content of an erased rectangle, the mean color or noise per pixel"
        ),
        "repeated_augmentation": FieldText(
            "Repeats per image", "Augmented copies of an image per batch, 0 for no repeats"
        ),
    },
    "Regularization": {
        "label_smoothing": FieldText("Label smoothing"),
        "stochastic_depth": FieldText("Stochastic depth", "Drop probability of the last block"),
        "layer_scale": FieldText("Layer scale", "Initial value of layer scale"),
    },
    "Weight average": {
        "ema_decay": FieldText(
            "Decay",
            "Decay of the weights' moving average, none for no average",
            "decay of the weight average",
        ),
        "ema_every": FieldText(
            "Every, steps",
            "Optimizer steps between updates of the moving average",
            "steps between averages",
        ),
    },
    "Images": {
        "train_size": FieldText(
            "Training size, px", "Side of a training image, pixels", "training image, pixels"
        ),
        "test_size": FieldText(
            "Test size, px", "Side of a test image, pixels", "test image, pixels"
        ),
        "test_resize": FieldText(
            "Test resize, px",
            "Shorter side of a test image before the crop, pixels",
            "test image resized to, pixels",
        ),
        "interpolation": FieldText(
            "Interpolation", "Interpolation of resizing, in training and testing"
        ),
    },
}
#: The same by name.
FIELDS = {name: text for fields in SUBJECTS.values() for name, text in fields.items()}


def option_name(field: str) -> str:
    """Return the option of ``train`` that sets a field."""
    return "--" + field.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What depends on a recipe's ``optimizer``."""

    title: str
    timm_name: str
    #: Tensors of the weights' size that it keeps.
    moments: int
    #: Whether torch has a fused version, which can skip an update without a synchronization.
    fused: bool
    #: Factor of the learning rate for a factor of the batch size.
    lr_factor: Callable[[float], float]
    #: Learning rate of pocket networks, for their batch size.
    pocket_lr: float


OPTIMIZERS = {
    "sgd": Optimizer(
        title="SGD",
        timm_name="momentum",  # timm's ``sgd`` uses Nesterov momentum, which no recipe does
        moments=1,
        fused=True,
        lr_factor=float,
        pocket_lr=0.1,
    ),
    "lamb": Optimizer(
        title="LAMB",
        timm_name="lamb",
        moments=2,
        fused=False,
        lr_factor=math.sqrt,
        pocket_lr=1e-2,
    ),
    "adamw": Optimizer(
        title="AdamW",
        timm_name="adamw",
        moments=2,
        fused=True,
        lr_factor=float,
        pocket_lr=3e-3,
    ),
}

#: Allowed values of the fields with a fixed choice.
CHOICES: dict[str, tuple[str, ...]] = {
    name: get_args(hint)
    for name, hint in get_type_hints(Recipe).items()
    if get_origin(hint) is Literal
}

RECIPES: dict[str, Recipe] = {
    "resnet_standard": Recipe(),
    "resnet_timm_a1": Recipe(
        optimizer="lamb",
        lr=5e-3,
        weight_decay=0.01,
        batch_size=2048,
        epochs=600,
        schedule="cosine",
        warmup_epochs=5,
        loss="binary_cross_entropy",
        mixup=0.2,
        cutmix=1.0,
        auto_augment="rand-m7-mstd0.5-inc1",
        repeated_augmentation=3,
        label_smoothing=0.1,
        stochastic_depth=0.05,
        test_resize=236,
        interpolation="bicubic",
    ),
    "resnet_torchvision": Recipe(
        lr=0.5,
        weight_decay=2e-5,
        norm_weight_decay=0.0,
        batch_size=1024,
        epochs=600,
        schedule="cosine",
        warmup_epochs=5,
        mixup=0.2,
        cutmix=1.0,
        auto_augment="trivial",
        random_erasing=0.1,
        repeated_augmentation=4,
        label_smoothing=0.1,
        ema_decay=0.99998,
        ema_every=32,
        train_size=176,
        test_resize=232,
    ),
    "convnext": Recipe(
        optimizer="adamw",
        lr=4e-3,
        weight_decay=0.05,
        norm_weight_decay=0.0,
        batch_size=4096,
        epochs=300,
        schedule="cosine",
        warmup_epochs=20,
        mixup=0.8,
        cutmix=1.0,
        auto_augment="rand-m9-mstd0.5-inc1",
        random_erasing=0.25,
        erasing_fill="noise",
        label_smoothing=0.1,
        stochastic_depth=0.1,
        layer_scale=1e-6,
        ema_decay=0.9999,
        interpolation="bicubic",
    ),
}

#: Fine-tuning of trained weights (Liu et al. 2022, Table 6, and the commands of the official
#: release). Stochastic depth is the tiny network's; larger ones use up to 0.95.
FINE_TUNE = RECIPES["convnext"].replace(
    lr=5e-5,
    weight_decay=1e-8,
    batch_size=512,
    epochs=30,
    warmup_epochs=0,
    mixup=0.0,
    cutmix=0.0,
    layer_scale=None,  # the weights have theirs
)
#: Every recipe that has a name; only ``RECIPES`` are compared, since they start at random weights.
NAMED_RECIPES: dict[str, Recipe] = {**RECIPES, "fine_tune": FINE_TUNE}
