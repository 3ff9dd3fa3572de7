"""How pages present the fields of ``ModelConfig``, grouped by the part of the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roadmap.drawing.words import ACTIVATIONS, NORMS, label
from roadmap.text import scientific


@dataclass(frozen=True)
class Control:
    """How the page presents a field; ``names`` are its values as inside a sentence, where they need
    a name."""

    field: str
    help: str
    label: str = ""
    names: Mapping[Any, str] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.label or self.field.replace("_", " ").capitalize()

    def said(self, value: Any) -> str:
        """Return ``value`` as the page prints it alone: ``Layer norm``."""
        return "none" if value is None else label(self.inside(value))

    def inside(self, value: Any) -> str:
        """Return ``value`` as inside a sentence: ``layer norm``."""
        if value in self.names:
            return self.names[value]
        if value is None:
            return "none"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, tuple):
            return ", ".join(map(str, value))
        return scientific(value) if isinstance(value, float) else f"{value:,}"

    def phrase(self, value: Any) -> str:
        """Return the field with ``value`` as inside a sentence: ``kernel size 7``."""
        return f"{self.title.lower()} {self.inside(value)}"


#: Controls by the part of the network that they change.
GROUPS: dict[str, tuple[Control, ...]] = {
    "stem": (
        Control(
            "stem",
            "ResNet: a 7×7 convolution with stride 2, then max pooling. Patchify: one 4×4 "
            "convolution with stride 4.",
            names={"resnet": "ResNet", "patchify": "patchify"},
        ),
    ),
    "stages": (
        Control("depths", "Blocks per stage, for 1 to 6 stages, such as 3, 4, 6, 3."),
        Control(
            "width",
            "Channels in the first stage; they double in each later stage. For a bottleneck this "
            "is the inner width (its output is 4 times wider), for an inverted block the output.",
        ),
    ),
    "downsampling": (
        Control(
            "downsampling",
            "In the block: a stage's first block has stride 2. Separate: a norm and a 2×2 "
            "convolution with stride 2 between stages, plus a norm after the stem and after "
            "pooling.",
            names={"in_block": "in the block", "separate": "separate"},
        ),
    ),
    "block": (
        Control(
            "block",
            "Bottleneck: wide, narrow, wide. Inverted: narrow, wide, narrow.",
            names={"bottleneck": "bottleneck", "inverted": "inverted"},
        ),
        Control(
            "layer_scale",
            "Initial value of a learned factor per channel on the residual branch. Empty: no "
            "factor.",
        ),
    ),
    "spatial": (
        Control("kernel_size", "Side of the spatial convolution: an odd number of pixels."),
        Control(
            "depthwise",
            "Yes: the spatial convolution gives every channel its own filter.",
        ),
        Control(
            "depthwise_position",
            "Position of the depthwise convolution: between the 1×1 convolutions or before them.",
            names={"middle": "middle", "first": "first"},
        ),
        Control("groups", "Groups of the spatial convolution (ResNeXt's cardinality)."),
        Control(
            "group_width",
            "Channels per group in the first stage, doubling in each later stage. Empty: the "
            "width's share.",
        ),
    ),
    "norm": (
        Control(
            "norm",
            "Batch norm or layer norm throughout. With layer norm, convolutions have a bias.",
            names=NORMS,
        ),
        Control(
            "norms_per_block",
            "3: after each convolution. 1: after the depthwise convolution of an inverted block.",
        ),
        Control("response_norm", "Global response normalization before the last convolution."),
    ),
    "activation": (
        Control("activation", "Nonlinearity used throughout.", names=ACTIVATIONS),
        Control(
            "activations_per_block",
            "3: after each norm and after the addition. 1: before the last 1×1 convolution.",
        ),
    ),
    "head": (Control("num_classes", "0: no classifier; the network returns features.", "Classes"),),
    "input": (
        Control("in_channels", "Number of image channels.", "Input channels"),
        Control(
            "init",
            "Kaiming: He et al. 2015, as in ResNet. Truncated normal: standard deviation 0.02, as "
            "in ConvNeXt. PyTorch's default: as in the authors' runs of the steps in between.",
            "Initialization",
            names={
                "kaiming": "Kaiming",
                "trunc_normal": "truncated normal",
                "default": "PyTorch's default",
            },
        ),
        Control(
            "stochastic_depth",
            "Drop probability of the last block; it grows linearly from 0 at the first.",
        ),
    ),
}
TITLES = {
    "stem": "Stem",
    "stages": "Stages",
    "downsampling": "Downsampling",
    "block": "Block",
    "spatial": "Spatial convolution",
    "norm": "Norms",
    "activation": "Activations",
    "head": "Classifier",
    "input": "Input, initialization, regularization",
}
#: The group that is folded below the others.
INPUTS = "input"
CONTROLS: dict[str, Control] = {
    control.field: control for controls in GROUPS.values() for control in controls
}


def group_of(field: str) -> str:
    """Return the key of the group with the control of ``field``."""
    return next(key for key, group in GROUPS.items() if CONTROLS[field] in group)
