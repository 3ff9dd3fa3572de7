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
from typing import Any, Literal, get_args, get_origin, get_type_hints

from models.text import said


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained. The defaults are the standard ResNet recipe (He et al. 2016).

    Raises ``ValueError`` for a value that is not among a field's ``CHOICES``.
    """

    optimizer: Literal["sgd", "lamb", "adamw"] = "sgd"
    #: Learning rate for ``batch_size`` images per step.
    lr: float = 0.1
    weight_decay: float = 1e-4
    #: Weight decay of norms and biases; None: the same as for all other weights.
    norm_weight_decay: float | None = None
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    batch_size: int = 256
    epochs: int = 90
    schedule: Literal["step", "cosine"] = "step"
    #: Step schedule: epochs between decays, and the factor.
    step_epochs: int = 30
    step_gamma: float = 0.1
    #: Epochs of linear warm-up.
    warmup_epochs: int = 0
    loss: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy"
    #: Mixup and CutMix: parameter of the beta distribution; 0: off.
    mixup: float = 0.0
    cutmix: float = 0.0
    #: ``none``, ``rand-mM-mstdS-inc1`` (RandAugment in timm's notation; inc1: all operations get
    #: stronger with the magnitude) or ``trivial`` (TrivialAugmentWide).
    auto_augment: str = "none"
    #: Probability per image of erasing a rectangle.
    random_erasing: float = 0.0
    #: Content of an erased rectangle: the mean color, or normal noise per pixel.
    erasing_fill: Literal["mean", "noise"] = "mean"
    #: Number of differently augmented copies of an image in a batch; 0: no repeats.
    repeated_augmentation: int = 0
    label_smoothing: float = 0.0
    stochastic_depth: float = 0.0
    layer_scale: float | None = None
    #: Decay of the exponential moving average of the weights; None: no average.
    ema_decay: float | None = None
    #: Optimizer steps between updates of the average.
    ema_every: int = 1
    #: Sides of the square training and test images, in pixels.
    train_size: int = 224
    test_size: int = 224
    #: Shorter side of a test image before the center crop, in pixels.
    test_resize: int = 256
    #: Interpolation of resizing, in training and testing.
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


#: What each field is, as the help of ``train`` says it.
MEANINGS = {
    "optimizer": "Optimizer",
    "lr": "Learning rate for --batch-size images per step",
    "weight_decay": "Weight decay",
    "norm_weight_decay": "Weight decay of norms and biases",
    "momentum": "Momentum of SGD",
    "betas": "Betas of LAMB and AdamW",
    "batch_size": "Images per optimizer step, over all GPUs",
    "epochs": "Epochs",
    "schedule": "Decay of the learning rate",
    "step_epochs": "Epochs between the decays of the step schedule",
    "step_gamma": "Factor of each decay of the step schedule",
    "warmup_epochs": "Epochs of linear warm-up",
    "loss": "Loss",
    "mixup": "Mixup alpha, 0 for no mixup",
    "cutmix": "CutMix alpha, 0 for no CutMix",
    "auto_augment": "Augmentation policy",
    "random_erasing": "Probability per image of erasing a rectangle",
    "erasing_fill": "Content of an erased rectangle",
    "repeated_augmentation": "Augmented copies of an image per batch, 0 for no repeats",
    "label_smoothing": "Label smoothing",
    "stochastic_depth": "Drop probability of the last block",
    "layer_scale": "Initial value of layer scale",
    "ema_decay": "Decay of the weights' moving average",
    "ema_every": "Optimizer steps between updates of the moving average",
    "train_size": "Side of a training image, pixels",
    "test_size": "Side of a test image, pixels",
    "test_resize": "Shorter side of a test image before the crop, pixels",
    "interpolation": "Interpolation of resizing",
}


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
