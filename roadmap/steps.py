"""The roadmaps, as data: each step is a small change to a model config or a training recipe.

Source: Liu et al., "A ConvNet for the 2020s" (arXiv:2201.03545v2), Section 2, Tables 10 and 11;
Woo et al., "ConvNeXt V2" (arXiv:2301.00808), Section 3, for the steps beyond it; the TorchVision
recipe (see ``roadmap.recipes``) for ``torchvision_recipe``. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from models.variants import VARIANT_TITLES, VARIANTS
from roadmap.definition import Roadmap, Step
from roadmap.recipes import RECIPES, Recipe

MACRO, RESNEXT, INVERTED, KERNEL, MICRO, BEYOND = (
    "Macro design",
    "ResNeXt-ify",
    "Inverted bottleneck",
    "Large kernel sizes",
    "Micro design",
    "Beyond the paper",
)
#: Where the hypotheses of each group are stated.
SOURCES = {
    "Baseline": "Liu et al. 2022, Section 2.1",
    MACRO: "Liu et al. 2022, Section 2.2",
    RESNEXT: "Liu et al. 2022, Section 2.3",
    INVERTED: "Liu et al. 2022, Section 2.4",
    KERNEL: "Liu et al. 2022, Section 2.5",
    MICRO: "Liu et al. 2022, Section 2.6",
    BEYOND: "Woo et al. 2023, Section 3",
}


def _recipe_fields(recipe: Recipe, **changes: Any) -> dict[str, Any]:
    """Return all fields of ``recipe``, so that they replace every earlier change."""
    return {**vars(recipe), **changes}


def _modernizing(
    stage_ratio: Mapping[str, Any],
    width: int,
    stochastic_depth: float,
    stage_ratio_why: str,
    networks: tuple[str, str, str],
) -> tuple[Step, ...]:
    """Return the steps of the paper's Section 2 for one network size.

    ``networks`` are the names of the first, of ConvNeXt and of ConvNeXt V2.
    """
    first, convnext, second_version = networks
    modern = _recipe_fields(
        RECIPES["convnext"], ema_decay=None, layer_scale=None, stochastic_depth=stochastic_depth
    )
    return (
        Step(
            key="baseline",
            title="ResNet",
            network=first,
            group="Baseline",
            hypothesis="The starting point: every later change is a hypothesis about this network.",
            source="He et al. 2016",
            why="The network of 2015 with its standard training recipe: 90 epochs of SGD with "
            "random crops and flips. All later steps are compared with it.",
        ),
        Step(
            key="training",
            title="Modern training recipe",
            group="Baseline",
            hypothesis="Part of the lead of vision transformers comes from how they are trained, "
            "so a ResNet gains from the same recipe.",
            why="The same network, trained like Swin: AdamW, 300 epochs, Mixup, CutMix, "
            "RandAugment, random erasing and stochastic depth. No layer changes, and yet this is "
            "the largest gain of the roadmap.",
            config_changes={"init": "trunc_normal"},
            recipe_changes=modern,
        ),
        Step(
            key="stage_ratio",
            title="Stage ratio",
            group=MACRO,
            hypothesis="Transformers put most of their blocks in the third stage; a ConvNet gains "
            "from the same distribution.",
            why=stage_ratio_why,
            config_changes=stage_ratio,
        ),
        Step(
            key="patchify_stem",
            title="Patchify stem",
            group=MACRO,
            hypothesis="The stem can be as simple as a transformer's, with patches that do not "
            "overlap, at no loss.",
            why="The 7×7 convolution and max pooling become one 4×4 convolution with stride 4: "
            "non-overlapping patches, as in a vision transformer. This is simpler and equally "
            "accurate.",
            config_changes={"stem": "patchify"},
        ),
        Step(
            key="depthwise_conv",
            title="Depthwise convolution",
            group=RESNEXT,
            hypothesis="Mixing positions and channels in separate layers, as self-attention does, "
            "saves most of the cost.",
            why="The 3×3 convolution gives every channel its own filter. Like the weighted sum of "
            "self-attention, it mixes positions within a channel and leaves the mixing of channels "
            "to the 1×1 layers. Cost falls by nearly half, and accuracy falls too.",
            config_changes={"depthwise": True},
        ),
        Step(
            key="increase_width",
            title="Increase width",
            group=RESNEXT,
            hypothesis="GFLOPs saved by depthwise convolution are better spent on more channels.",
            why="As in ResNeXt, more groups allow more width: the saved GFLOPs are spent on "
            f"{width} channels in the first stage, as many as in the Swin of this size.",
            config_changes={"width": width},
        ),
        Step(
            key="inverted_bottleneck",
            title="Inverted bottleneck",
            group=INVERTED,
            hypothesis="A block that is wide in the middle, like a transformer's MLP, costs less "
            "at equal or better accuracy.",
            why="The block is four times wider in the middle instead of at its ends, like a "
            "transformer's MLP. The shortcuts become narrow, so the network as a whole costs less "
            "although its depthwise layers cost more.",
            config_changes={"block": "inverted"},
        ),
        Step(
            key="move_up_depthwise",
            title="Move up depthwise",
            group=KERNEL,
            hypothesis="With fewer channels in the depthwise layer, large kernels become "
            "affordable.",
            why="The depthwise convolution moves before the 1×1 layers, as attention comes before "
            "the MLP, and now works on a quarter of the channels. This costs accuracy at first, "
            "but makes large kernels affordable.",
            config_changes={"depthwise_position": "first"},
        ),
        Step(
            key="kernel_5",
            title="Kernel size 5",
            group=KERNEL,
            hypothesis="Self-attention sees beyond 3×3; a ConvNet gains from a larger window too.",
            why="A larger window for the depthwise convolution, on the way to Swin's 7×7.",
            config_changes={"kernel_size": 5},
        ),
        Step(
            key="kernel_7",
            title="Kernel size 7",
            group=KERNEL,
            hypothesis="A window as large as Swin's, 7×7, gains more than 5×5.",
            why="The same window size as Swin's attention, as a convolution, for almost no GFLOPs. "
            "In ResNet-50 it recovers what moving the layer up had cost.",
            config_changes={"kernel_size": 7},
        ),
        Step(
            key="kernel_9",
            title="Kernel size 9",
            group=KERNEL,
            hypothesis="A window larger than 7×7 gains even more.",
            why="Tried but not adopted: beyond kernel size 7, accuracy no longer increases.",
            adopted=False,
            config_changes={"kernel_size": 9},
        ),
        Step(
            key="kernel_11",
            title="Kernel size 11",
            group=KERNEL,
            hypothesis="A window of 11×11 gains even more than one of 7×7.",
            why="Tried but not adopted: like 9, it gains nothing over kernel size 7.",
            adopted=False,
            config_changes={"kernel_size": 11},
        ),
        Step(
            key="gelu",
            title="ReLU to GELU",
            group=MICRO,
            hypothesis="The activation of transformers, GELU, can replace ReLU in a ConvNet.",
            why="The smoother activation of transformers, used throughout. By itself it changes "
            "almost nothing.",
            config_changes={"activation": "gelu"},
        ),
        Step(
            key="fewer_activations",
            title="Fewer activations",
            group=MICRO,
            hypothesis="One activation per block, as in a transformer's MLP, is enough.",
            why="A transformer block has one activation, inside its MLP. Here too, only the one "
            "between the two 1×1 layers stays; even the one after the addition is removed.",
            config_changes={"activations_per_block": 1},
        ),
        Step(
            key="fewer_norms",
            title="Fewer norms",
            group=MICRO,
            hypothesis="One norm per block is enough.",
            why="One norm per block is enough, before the 1×1 layers. That is fewer than in a "
            "transformer block, and accuracy still increases.",
            config_changes={"norms_per_block": 1},
        ),
        Step(
            key="layer_norm",
            title="Batch norm to layer norm",
            group=MICRO,
            hypothesis="Layer norm, simpler than batch norm, works in a ConvNet that has been "
            "modernized this far.",
            why="Each position is normalized over its channels instead of each channel over the "
            "batch. In the original ResNet this hurts; after the changes so far it no longer does.",
            config_changes={"norm": "layer"},
        ),
        Step(
            key="separate_downsampling",
            title="Separate downsampling",
            network=convnext,
            group=MICRO,
            hypothesis="Downsampling between stages, as in Swin, with norms that keep training "
            "stable, improves accuracy.",
            why="A separate 2×2 convolution with stride 2 between stages, like patch merging in "
            "Swin. On its own it makes training diverge; a norm wherever the resolution changes "
            "makes training stable. Together with layer scale, this is ConvNeXt.",
            config_changes={"downsampling": "separate", "layer_scale": 1e-6},
        ),
        Step(
            key="global_response_norm",
            title="Global response norm",
            group=BEYOND,
            hypothesis="Channels that compete with each other carry more diverse features.",
            why="Each channel is scaled by its strength relative to the other channels (GRN, "
            "ConvNeXt V2), so that channels compete instead of becoming redundant.",
            config_changes={"response_norm": True},
        ),
        Step(
            key="no_layer_scale",
            title="No layer scale",
            network=second_version,
            group=BEYOND,
            hypothesis="Global response normalization makes layer scale unnecessary.",
            why="With global response normalization, layer scale is no longer needed. The result "
            "is the block of ConvNeXt V2.",
            config_changes={"layer_scale": None},
        ),
    )


def _torchvision_steps() -> tuple[Step, ...]:
    """Return the 13 rows of the TorchVision recipe, each on top of the previous one."""
    schedule, augment, regular, test = (
        "Schedule",
        "Augmentation",
        "Regularization",
        "Evaluation and averaging",
    )
    rows: tuple[tuple[str, str, str, str, str, dict[str, Any]], ...] = (
        (
            "baseline",
            "Baseline",
            "Baseline",
            "The starting point: the network never changes, so every gain comes from its training.",
            "SGD for 90 epochs; the learning rate falls tenfold every 30 epochs.",
            {},
        ),
        (
            "lr_optimizations",
            "Learning rate",
            schedule,
            "A larger batch with warm-up and a cosine schedule trains better than steps.",
            "A larger batch and learning rate, with five epochs of warm-up and then a cosine "
            "schedule. Warm-up keeps the first steps stable, and the rate then falls smoothly.",
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
            "Random operations at random strengths augment as well as tuned policies.",
            "One random operation at a random strength per image. There is nothing to tune.",
            {"auto_augment": "trivial"},
        ),
        (
            "long_training",
            "Long training",
            schedule,
            "A longer schedule lets the network profit from augmentation.",
            "600 epochs instead of 90. Stronger augmentation pays only if training is long enough.",
            {"epochs": 600},
        ),
        (
            "random_erasing",
            "Random erasing",
            augment,
            "Erasing a part of an image keeps the network from relying on that part alone.",
            "A random rectangle is erased in one image of ten, so that the network does not rely "
            "on a single part.",
            {"random_erasing": 0.1},
        ),
        (
            "label_smoothing",
            "Label smoothing",
            regular,
            "Softer targets reduce overconfidence and improve generalization.",
            "A tenth of the target probability is spread over all classes, to reduce "
            "overconfidence.",
            {"label_smoothing": 0.1},
        ),
        (
            "mixup",
            "Mixup",
            augment,
            "Training on blends of two images regularizes beyond augmentation of one.",
            "Pairs of images are blended, and so are their labels, so that the network behaves "
            "linearly between examples.",
            {"mixup": 0.2},
        ),
        (
            "cutmix",
            "CutMix",
            augment,
            "Pasting patches between images regularizes in another way than blending them.",
            "A rectangle of one image is pasted into another, and the labels are mixed in "
            "proportion to the area. Mixup and CutMix alternate at random.",
            {"cutmix": 1.0},
        ),
        (
            "weight_decay",
            "Weight decay tuning",
            regular,
            "With so much regularization, less weight decay is better, and none for norms.",
            "With so much other regularization, a fifth of the decay is enough, and norm layers "
            "work better without any.",
            {"weight_decay": 2e-5, "norm_weight_decay": 0.0},
        ),
        (
            "fixres",
            "FixRes",
            test,
            "Training at a lower resolution makes objects appear as large as in testing.",
            "Random crops enlarge objects in training. Training at 176 pixels and testing at 224 "
            "makes their apparent sizes equal, and training is faster.",
            {"train_size": 176},
        ),
        (
            "ema",
            "Weight averaging",
            test,
            "Averaged weights generalize better than the last ones.",
            "An exponential moving average of the weights is evaluated instead of the last "
            "weights.",
            {"ema_decay": 0.99998, "ema_every": 32},
        ),
        (
            "inference_resize",
            "Inference resize",
            test,
            "A crop that keeps more of the image raises accuracy at no cost in training.",
            "The test image is resized to 232 instead of 256 pixels before the crop of 224, so the "
            "crop keeps more of the image.",
            {"test_resize": 232},
        ),
        (
            "repeated_augmentation",
            "Repeated augmentation",
            augment,
            "Several augmented copies of an image in one batch train better.",
            "Each image is in a batch four times, augmented differently each time.",
            {"repeated_augmentation": 4},
        ),
    )
    return tuple(
        Step(
            key=key,
            title=title,
            group=group,
            hypothesis=hypothesis,
            source="PyTorch blog 2021",
            why=why,
            recipe_changes=MappingProxyType(changes),
        )
        for key, title, group, hypothesis, why, changes in rows
    )


_RATIO_WHY = (
    "The blocks per stage change from {before} to {after}, the ratio of Swin: more of the "
    "computation happens in the third stage, at a sixteenth of the resolution."
)


def _to_convnext(name: str, size: str, stage_ratio: Mapping[str, Any], **scale: Any) -> Roadmap:
    """Return the roadmap from the variant ``name`` to ConvNeXt of ``size``, then to ConvNeXt V2."""
    variants = (name, f"convnext_{size}", f"convnextv2_{size}")
    first, convnext, second_version = (VARIANT_TITLES[variant] for variant in variants)
    return Roadmap(
        name=name,
        title=f"{first} to {convnext}",
        short_title=first,
        networks=(first, convnext),
        start=VARIANTS[name],
        start_recipe=RECIPES["resnet_standard"],
        steps=_modernizing(stage_ratio, networks=(first, convnext, second_version), **scale),
    )


ROADMAPS: dict[str, Roadmap] = {
    roadmap.name: roadmap
    for roadmap in (
        _to_convnext(
            "resnet50",
            "tiny",
            {"depths": (3, 3, 9, 3)},
            width=96,
            stochastic_depth=0.1,
            stage_ratio_why=_RATIO_WHY.format(before="3, 4, 6, 3", after="3, 3, 9, 3"),
        ),
        _to_convnext(
            "resnet200",
            "base",
            {"depths": (3, 3, 27, 3), "width": 84},
            width=128,
            stochastic_depth=0.4,
            stage_ratio_why=_RATIO_WHY.format(before="3, 24, 36, 3", after="3, 3, 27, 3")
            + " With fewer blocks, the width increases from 64 to 84 to keep the cost.",
        ),
        Roadmap(
            name="torchvision_recipe",
            title="The TorchVision recipe for ResNet-50",
            short_title="TorchVision recipe",
            networks=(VARIANT_TITLES["resnet50"], VARIANT_TITLES["resnet50"]),
            start=VARIANTS["resnet50"],
            start_recipe=RECIPES["resnet_standard"],
            steps=_torchvision_steps(),
        ),
    )
}


def source(step: Step) -> str:
    """Return where the hypothesis of ``step`` is stated."""
    return step.source or SOURCES[step.group]
