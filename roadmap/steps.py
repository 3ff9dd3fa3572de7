"""The roadmaps, as data: each step is a small change to a model config or a training recipe.

Source: Liu et al., "A ConvNet for the 2020s" (arXiv:2201.03545v2), Section 2, Tables 10 and 11;
Woo et al., "ConvNeXt V2" (arXiv:2301.00808), Section 3, for what goes beyond it; the TorchVision
recipe for ``torchvision_recipe``. Imports no torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from models.config import ModelConfig
from models.text import said, shortened
from roadmap.recipes import RECIPES, Recipe

if TYPE_CHECKING:
    from models import ModernResNet


@dataclass(frozen=True, kw_only=True)
class Step:
    """One change on the way. ``group`` is the paper's section; ``why`` explains in a sentence or
    two what changes and for what reason. ``adopted`` is false for a step tried and taken back."""

    key: str
    title: str
    group: str
    why: str
    adopted: bool = True
    config_changes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    recipe_changes: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Roadmap:
    """Steps in order, from ``start`` and ``start_recipe``; each adds to the adopted ones before."""

    name: str
    title: str
    start: ModelConfig
    start_recipe: Recipe
    steps: tuple[Step, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(step.key for step in self.steps)

    @property
    def changes_networks(self) -> bool:
        """Whether any step changes more than the recipe."""
        return any(step.config_changes for step in self.steps)

    def step(self, key: str) -> Step:
        """Raises ``KeyError`` with the nearest key for one that is not on this roadmap."""
        for step in self.steps:
            if step.key == key:
                return step
        raise KeyError(unknown_name("step", key, self.keys))

    def config(self, key: str, **changes: Any) -> ModelConfig:
        """The network of step ``key``, with ``changes`` on top (``num_classes=10``, say)."""
        fields = _accumulated(self._path(key), "config_changes")
        return self.start.replace(**{**fields, **changes})

    def recipe(self, key: str) -> Recipe:
        """The training recipe of step ``key``."""
        return self.start_recipe.replace(**_accumulated(self._path(key), "recipe_changes"))

    def build(self, key: str, num_classes: int = 1000) -> ModernResNet:
        """The network itself, freshly initialized. Brings torch."""
        from models import ModernResNet

        return ModernResNet(self.config(key, num_classes=num_classes))

    def previous(self, key: str) -> Step | None:
        """The step that ``key`` is compared with: the adopted one before; None for the first."""
        path = self._path(key)
        return path[-2] if len(path) > 1 else None

    def _path(self, key: str) -> list[Step]:
        """The adopted steps up to ``key``, and ``key`` itself."""
        last = self.step(key)
        before = self.steps[: self.steps.index(last)]
        return [step for step in before if step.adopted] + [last]


def _accumulated(steps: list[Step], kind: str) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for step in steps:
        changes |= getattr(step, kind)
    return changes


def unknown_name(kind: str, name: str, names: tuple[str, ...]) -> str:
    """One sentence for a name that does not exist: the nearest match and those that do."""
    return f"No {kind} is named {said(name)}.{existing(name, names)}"


def existing(name: str, names: tuple[str, ...]) -> str:
    """What to use instead of ``name``: the nearest of ``names``, and all."""
    near = difflib.get_close_matches(shortened(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{hint} Available: {', '.join(names)}."


MACRO, RESNEXT, INVERTED, KERNEL, MICRO, BEYOND = (
    "Macro design",
    "ResNeXt-ify",
    "Inverted bottleneck",
    "Large kernel sizes",
    "Micro design",
    "Beyond the paper",
)


def _recipe_fields(recipe: Recipe, **changes: Any) -> dict[str, Any]:
    """All fields of ``recipe``, so that taking it over replaces whatever was there."""
    return {**vars(recipe), **changes}


def _modernizing(
    stage_ratio: Mapping[str, Any], width: int, stochastic_depth: float, stage_ratio_why: str
) -> tuple[Step, ...]:
    """The steps of Section 2, for one size of network."""
    modern = _recipe_fields(
        RECIPES["convnext"], ema_decay=None, layer_scale=None, stochastic_depth=stochastic_depth
    )
    return (
        Step(
            key="baseline",
            title="ResNet",
            group="Baseline",
            why="The network of 2015 under the training recipe of its time: 90 epochs of SGD with "
            "random crops and flips. Every later number is measured from here.",
        ),
        Step(
            key="training",
            title="Modern training recipe",
            group="Baseline",
            why="The same network, trained as Swin is: AdamW, 300 epochs, Mixup, CutMix, "
            "RandAugment, random erasing and stochastic depth. Not one layer changes, and it is "
            "the largest gain of the whole roadmap.",
            config_changes={"init": "trunc_normal"},
            recipe_changes=modern,
        ),
        Step(
            key="stage_ratio",
            title="Stage ratio",
            group=MACRO,
            why=stage_ratio_why,
            config_changes=stage_ratio,
        ),
        Step(
            key="patchify_stem",
            title="Patchify stem",
            group=MACRO,
            why="A 7×7 convolution and max pooling become one 4×4 convolution with stride 4: "
            "non-overlapping patches, as in a vision transformer. Simpler, and no less accurate.",
            config_changes={"stem": "patchify"},
        ),
        Step(
            key="depthwise_conv",
            title="Depthwise convolution",
            group=RESNEXT,
            why="The 3×3 convolution gets one group a channel. Like self-attention's weighted "
            "sum, it mixes over space within a channel and leaves mixing channels to the 1×1 "
            "layers. Cost falls by nearly half, and accuracy with it.",
            config_changes={"depthwise": True},
        ),
        Step(
            key="increase_width",
            title="Increase width",
            group=RESNEXT,
            why="ResNeXt's lesson, more groups and then more width: the saved multiply-adds are "
            f"spent on {width} channels in the first stage, as many as in the Swin of this size.",
            config_changes={"width": width},
        ),
        Step(
            key="inverted_bottleneck",
            title="Inverted bottleneck",
            group=INVERTED,
            why="The block turns inside out: four times wider in the middle instead of at its "
            "ends, like a transformer's MLP. The shortcuts become narrow, so the whole network "
            "costs less although its depthwise layers cost more.",
            config_changes={"block": "inverted"},
        ),
        Step(
            key="move_up_depthwise",
            title="Move up depthwise",
            group=KERNEL,
            why="The depthwise convolution moves before the 1×1 layers, where it sees a quarter "
            "of the channels, as attention stands before the MLP. It costs accuracy for now, and "
            "makes large kernels affordable.",
            config_changes={"depthwise_position": "first"},
        ),
        Step(
            key="kernel_5",
            title="Kernel size 5",
            group=KERNEL,
            why="A larger window for the depthwise convolution, on the way to Swin's 7×7.",
            config_changes={"kernel_size": 5},
        ),
        Step(
            key="kernel_7",
            title="Kernel size 7",
            group=KERNEL,
            why="The window of Swin's attention, as a convolution, for almost no multiply-adds. "
            "In ResNet-50 it wins back what moving the layer up had cost.",
            config_changes={"kernel_size": 7},
        ),
        Step(
            key="kernel_9",
            title="Kernel size 9",
            group=KERNEL,
            why="Tried and taken back: past 7×7 the accuracy no longer grows.",
            adopted=False,
            config_changes={"kernel_size": 9},
        ),
        Step(
            key="kernel_11",
            title="Kernel size 11",
            group=KERNEL,
            why="Tried and taken back, like 9×9: the benefit of larger kernels ends at 7×7.",
            adopted=False,
            config_changes={"kernel_size": 11},
        ),
        Step(
            key="gelu",
            title="ReLU to GELU",
            group=MICRO,
            why="The smoother activation of transformers, in every place. By itself it changes "
            "next to nothing.",
            config_changes={"activation": "gelu"},
        ),
        Step(
            key="fewer_activations",
            title="Fewer activations",
            group=MICRO,
            why="A transformer block has one activation, inside its MLP. All but the one between "
            "the two 1×1 layers go, the one after the addition too.",
            config_changes={"activations_per_block": 1},
        ),
        Step(
            key="fewer_norms",
            title="Fewer norms",
            group=MICRO,
            why="One normalization a block is enough, before the 1×1 layers: fewer than a "
            "transformer block has, and the accuracy still rises.",
            config_changes={"norms_per_block": 1},
        ),
        Step(
            key="layer_norm",
            title="BatchNorm to LayerNorm",
            group=MICRO,
            why="Normalizing each position over its channels instead of each channel over the "
            "batch. In the original ResNet this hurts; after the changes so far it no longer does.",
            config_changes={"norm": "layer"},
        ),
        Step(
            key="separate_downsampling",
            title="Separate downsampling",
            group=MICRO,
            why="Between stages stands a 2×2 convolution with stride 2 of its own, as patch "
            "merging in Swin. Alone it makes training diverge; a norm wherever the resolution "
            "changes makes it stable. With layer scale this is ConvNeXt.",
            config_changes={"downsampling": "separate", "layer_scale": 1e-6},
        ),
        Step(
            key="global_response_norm",
            title="Global response norm",
            group=BEYOND,
            why="A channel counts by its strength over the whole image, relative to the others', "
            "so that channels compete instead of repeating one another (ConvNeXt V2).",
            config_changes={"response_norm": True},
        ),
        Step(
            key="no_layer_scale",
            title="No layer scale",
            group=BEYOND,
            why="With response normalization, layer scale is no longer needed. What is left is "
            "the block of ConvNeXt V2.",
            config_changes={"layer_scale": None},
        ),
    )


def _torchvision_steps() -> tuple[Step, ...]:
    """The 13 rows of the TorchVision recipe, each on top of the one before."""
    schedule, augment, regular, test = (
        "Schedule",
        "Augmentation",
        "Regularization",
        "Evaluation and averaging",
    )
    rows: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
        (
            "baseline",
            "Baseline",
            "Baseline",
            "SGD for 90 epochs, the learning rate falling tenfold every 30.",
            {},
        ),
        (
            "lr_optimizations",
            "Learning rate",
            schedule,
            "A larger batch and learning rate with five epochs of warm-up, then a cosine: the "
            "rate neither shocks the fresh network nor drops in cliffs.",
            {
                "batch_size": 1024,
                "lr": 0.5,
                "schedule": "cosine",
                "warmup_epochs": 5,
            },
        ),
        (
            "trivial_augment",
            "TrivialAugment",
            augment,
            "One random operation at a random strength per image. There is nothing to tune.",
            {"auto_augment": "trivial"},
        ),
        (
            "long_training",
            "Long training",
            schedule,
            "600 epochs instead of 90. Stronger augmentation pays only when there is time to "
            "learn from it.",
            {"epochs": 600},
        ),
        (
            "random_erasing",
            "Random erasing",
            augment,
            "A random rectangle of one image in ten is blanked, so that no single part decides.",
            {"random_erasing": 0.1},
        ),
        (
            "label_smoothing",
            "Label smoothing",
            regular,
            "A tenth of the target is spread over all classes, against overconfidence.",
            {"label_smoothing": 0.1},
        ),
        (
            "mixup",
            "Mixup",
            augment,
            "Pairs of images and of their labels are blended, so that the network behaves "
            "linearly between examples.",
            {"mixup": 0.2},
        ),
        (
            "cutmix",
            "CutMix",
            augment,
            "A rectangle of one image is pasted into another, labels in proportion to the area; "
            "used in turn with Mixup.",
            {"cutmix": 1.0},
        ),
        (
            "weight_decay",
            "Weight decay tuning",
            regular,
            "With so much other regularization a fifth of the decay is enough, and normalization "
            "layers do better with none.",
            {"weight_decay": 2e-5, "norm_weight_decay": 0.0},
        ),
        (
            "fixres",
            "FixRes",
            test,
            "Random crops enlarge objects in training. Training at 176 pixels and testing at 224 "
            "makes their apparent sizes agree, and training is faster.",
            {"train_size": 176},
        ),
        (
            "ema",
            "Weight averaging",
            test,
            "An exponential moving average of the weights is evaluated instead of the last ones.",
            {"ema_decay": 0.99998, "ema_every": 32},
        ),
        (
            "inference_resize",
            "Inference resize",
            test,
            "The test image is resized to 232 instead of 256 before the crop of 224: the crop "
            "keeps more of the picture.",
            {"test_resize": 232},
        ),
        (
            "repeated_augmentation",
            "Repeated augmentation",
            augment,
            "Each image enters a batch four times, augmented differently each time.",
            {"repeated_augmentation": 4},
        ),
    )
    return tuple(
        Step(key=key, title=title, group=group, why=why, recipe_changes=MappingProxyType(changes))
        for key, title, group, why, changes in rows
    )


_RATIO_WHY = (
    "Blocks per stage go from {before} to {after}, the ratio of Swin: more of the computation "
    "happens in the third stage, at a sixteenth of the resolution."
)

ROADMAPS: dict[str, Roadmap] = {
    roadmap.name: roadmap
    for roadmap in (
        Roadmap(
            "resnet50",
            "ResNet-50 to ConvNeXt-T",
            ModelConfig(),
            RECIPES["resnet_standard"],
            _modernizing(
                {"depths": (3, 3, 9, 3)},
                width=96,
                stochastic_depth=0.1,
                stage_ratio_why=_RATIO_WHY.format(before="3, 4, 6, 3", after="3, 3, 9, 3"),
            ),
        ),
        Roadmap(
            "resnet200",
            "ResNet-200 to ConvNeXt-B",
            ModelConfig(depths=(3, 24, 36, 3)),
            RECIPES["resnet_standard"],
            _modernizing(
                {"depths": (3, 3, 27, 3), "width": 84},
                width=128,
                stochastic_depth=0.4,
                stage_ratio_why=_RATIO_WHY.format(before="3, 24, 36, 3", after="3, 3, 27, 3")
                + " With fewer blocks, the width grows from 64 to 84 to keep the cost.",
            ),
        ),
        Roadmap(
            "torchvision_recipe",
            "The TorchVision recipe for ResNet-50",
            ModelConfig(),
            RECIPES["resnet_standard"],
            _torchvision_steps(),
        ),
    )
}


def timed_network(roadmap: str, step: str | None = None) -> tuple[str, str | None]:
    """The roadmap and step under which the speed of ``step``'s network is measured: its own, and
    for a roadmap of training the first step of another roadmap with its one network."""
    found = ROADMAPS[roadmap]
    if found.changes_networks:
        return roadmap, step
    others = (other for other in ROADMAPS.values() if other.changes_networks)
    return next(
        (other.name, key)
        for other in others
        for key in other.keys
        if other.config(key) == found.start
    )
