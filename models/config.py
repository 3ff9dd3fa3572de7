"""``ModelConfig``: every architectural choice of the roadmap, validated, hashable, JSON."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from models.text import said, shortened

Stem = Literal["resnet", "patchify"]
BlockKind = Literal["bottleneck", "inverted"]
DepthwisePosition = Literal["middle", "first"]
Activation = Literal["relu", "gelu"]
Norm = Literal["batch", "layer"]
Downsampling = Literal["in_block", "separate"]
Init = Literal["kaiming", "trunc_normal", "default"]

#: Allowed values of fields with a fixed choice, for validation and for controls.
CHOICES: dict[str, tuple[Any, ...]] = {
    "stem": get_args(Stem),
    "block": get_args(BlockKind),
    "depthwise": (False, True),
    "depthwise_position": get_args(DepthwisePosition),
    "activation": get_args(Activation),
    "activations_per_block": (1, 3),
    "norm": get_args(Norm),
    "norms_per_block": (1, 3),
    "response_norm": (False, True),
    "downsampling": get_args(Downsampling),
    "init": get_args(Init),
}
#: Inclusive bounds of integer fields.
BOUNDS: dict[str, tuple[int, int]] = {
    "width": (1, 8192),
    "groups": (1, 8192),
    "group_width": (1, 8192),
    "kernel_size": (1, 31),
    "num_classes": (0, 1_000_000),
    "in_channels": (1, 4096),
}
MAX_STAGES = 6
MAX_BLOCKS = 1000
EXPANSION = 4  # for both bottlenecks and inverted bottlenecks, throughout the paper
#: Inner and output width of each kind of block, in multiples of ``width``.
WIDTHS: dict[str, tuple[int, int]] = {
    "bottleneck": (1, EXPANSION),
    "inverted": (EXPANSION, 1),
}


class ConfigError(ValueError):
    """An invalid value or combination of fields; ``fields`` names those to change."""

    def __init__(self, message: str, *fields: str):
        super().__init__(message)
        self.fields = fields


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One network between ResNet (He et al. 2016) and ConvNeXt (Liu et al. 2022).

    The defaults are ResNet-50. Raises ``ConfigError`` (a ``ValueError``) for a value out of
    range or an invalid combination, with the names of the fields and what would work.
    """

    #: Blocks per stage.
    depths: tuple[int, ...] = (3, 4, 6, 3)
    #: Channels in the first stage, doubling in each later stage: the inner width of a
    #: bottleneck (its output is 4 times wider), or the output width of an inverted block.
    width: int = 64
    #: ``resnet``: 7x7 stride 2, then max pooling. ``patchify``: 4x4 stride 4 (Section 2.2).
    stem: Stem = "resnet"
    #: ``bottleneck``: wide-narrow-wide. ``inverted``: narrow-wide-narrow (Section 2.4).
    block: BlockKind = "bottleneck"
    #: Groups of the spatial convolution (ResNeXt's cardinality); ``depthwise`` overrides it.
    groups: int = 1
    #: Channels per group in the first stage, doubling in each later stage; None: the inner width
    #: divided by ``groups``.
    group_width: int | None = None
    #: Whether the spatial convolution gives every channel its own filter (Section 2.3).
    depthwise: bool = False
    #: Position of the depthwise convolution: between the 1x1 ones, or before (Section 2.5).
    depthwise_position: DepthwisePosition = "middle"
    #: Kernel size of the spatial convolution, odd.
    kernel_size: int = 3
    activation: Activation = "relu"
    #: 3: after each norm and after the addition. 1: before the last 1x1 convolution.
    activations_per_block: int = 3
    norm: Norm = "batch"
    #: 3: after each convolution. 1: after the depthwise convolution.
    norms_per_block: int = 3
    #: Global response normalization before the last 1x1 convolution (Woo et al. 2023).
    response_norm: bool = False
    #: ``in_block``: the stage's first block has stride 2. ``separate``: norm and a 2x2 stride 2
    #: convolution between stages, with a norm after the stem and after pooling (Section 2.6).
    downsampling: Downsampling = "in_block"
    #: Initial value of a learned scale per channel on the residual branch; None: no scale.
    layer_scale: float | None = None
    #: Drop probability of the last block; it grows linearly from 0 at the first.
    stochastic_depth: float = 0.0
    #: ``kaiming``: He et al. 2015, as in torchvision's ResNet. ``trunc_normal``: standard
    #: deviation 0.02 and zero biases, as in ConvNeXt (Table 5). ``default``: PyTorch's, which
    #: the authors' commands keep in every step before ConvNeXt itself.
    init: Init = "kaiming"
    #: 0: no classifier; the network returns pooled features.
    num_classes: int = 1000
    in_channels: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "depths", _checked_depths(self.depths))
        for name, choices in CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        for name, bounds in BOUNDS.items():
            if not (name == "group_width" and self.group_width is None):
                _check_integer(name, getattr(self, name), *bounds)
        _check_real(self, "stochastic_depth", 0.0, 1.0, "at least 0 and under 1")
        if self.layer_scale is not None:
            _check_real(
                self, "layer_scale", 0.0, math.inf, "a finite number of at least 0, or none"
            )
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.kernel_size % 2 == 0:
            raise ConfigError(
                f"kernel_size is {self.kernel_size}; an even kernel has no center: "
                f"use {self.kernel_size - 1} or {self.kernel_size + 1}",
                "kernel_size",
            )
        if self.depthwise_position == "first" and not self.depthwise:
            raise ConfigError(
                "depthwise_position is 'first', but depthwise is false, so there is no depthwise "
                "convolution to move: set depthwise to true, or depthwise_position to 'middle'",
                "depthwise_position",
                "depthwise",
            )
        if self.norms_per_block == 1 and not (self.block == "inverted" and self.depthwise):
            raise ConfigError(
                "norms_per_block is 1, which keeps only the norm after the depthwise convolution "
                "of an inverted block: set block to 'inverted' and depthwise to true, or "
                "norms_per_block to 3",
                "norms_per_block",
                "block",
                "depthwise",
            )
        self._check_groups()

    def _check_groups(self) -> None:
        if self.depthwise and (self.groups != 1 or self.group_width is not None):
            raise ConfigError(
                "depthwise is true, so every channel has its own group: set groups to 1 and "
                "group_width to none, or depthwise to false",
                "groups",
                "group_width",
                "depthwise",
            )
        if self.group_width is not None and self.block == "inverted":
            raise ConfigError(
                "group_width sets the inner width of a bottleneck, but block is 'inverted': set "
                "group_width to none, or block to 'bottleneck'",
                "group_width",
                "block",
            )
        inner = self.inner_width(0)
        if inner % self.groups:
            raise ConfigError(
                f"groups is {self.groups}, which does not divide the {inner} channels of the "
                "spatial convolution: use a divisor of it, or set group_width",
                "groups",
                "width",
            )

    def inner_width(self, stage: int) -> int:
        """Return the channels between the 1x1 convolutions of a block in ``stage`` (from 0)."""
        if self.group_width is not None:
            return self.groups * self.group_width * 2**stage
        return self.width * WIDTHS[self.block][0] * 2**stage

    def output_width(self, stage: int) -> int:
        """Return the output channels of a block in ``stage`` (from 0)."""
        return self.width * WIDTHS[self.block][1] * 2**stage

    @property
    def num_features(self) -> int:
        """Return the channels of the last stage, the classifier's input."""
        return self.output_width(len(self.depths) - 1)

    def replace(self, **changes: Any) -> ModelConfig:
        """Return a copy with ``changes``. Raises ``ConfigError`` for an unknown field."""
        _check_names(changes)
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types (``depths`` as a list)."""
        return {**dataclasses.asdict(self), "depths": list(self.depths)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ModelConfig:
        """Create a config from a dict such as ``to_dict`` returns; missing fields get defaults.

        Raises ``ConfigError`` for an unknown field or an invalid value.
        """
        _check_names(fields)
        return cls(**fields)

    def to_json(self, **options: Any) -> str:
        """Return the fields as JSON; ``options`` go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **options)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Create a config from JSON. Raises ``ConfigError`` if it is invalid."""
        try:
            fields = json.loads(text)
        except RecursionError:
            raise ConfigError("the config is not valid: its JSON is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise ConfigError(f"the config is not valid JSON: {error}") from None
        except ValueError:  # Python limits the length of integers
            raise ConfigError("the config has a number with thousands of digits") from None
        if not isinstance(fields, dict):
            raise ConfigError("the config is JSON, but not an object of fields and values")
        return cls.from_dict(fields)


FIELDS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(ModelConfig))


def differences(before: ModelConfig, after: ModelConfig) -> dict[str, tuple[Any, Any]]:
    """Return the fields that differ, as ``{field: (before, after)}``, in config order."""
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in FIELDS}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _check_names(fields: dict[str, Any]) -> None:
    for name in fields:
        if name not in FIELDS:
            near = difflib.get_close_matches(shortened(name), FIELDS)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(FIELDS)}"
            raise ConfigError(f"the config has no field {said(name)}: {hint}", str(name))


def _checked_depths(depths: Any) -> tuple[int, ...]:
    wanted = f"use 1 to {MAX_STAGES} positive whole numbers, such as (3, 3, 9, 3)"
    if not isinstance(depths, list | tuple) or not 1 <= len(depths) <= MAX_STAGES:
        raise ConfigError(f"depths is {said(depths)}; {wanted}", "depths")
    if any(isinstance(depth, bool) or not isinstance(depth, int) or depth < 1 for depth in depths):
        raise ConfigError(f"depths is {said(depths)}; {wanted}", "depths")
    if sum(depths) > MAX_BLOCKS:
        raise ConfigError(
            f"depths adds up to {said(sum(depths))} blocks; use at most {MAX_BLOCKS}", "depths"
        )
    return tuple(depths)


def _check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if type(value) is not type(choices[0]) or value not in choices:
        listed = " or ".join(repr(choice) for choice in choices)
        raise ConfigError(f"{name} is {said(value)}; use {listed}", name)


def _check_integer(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(
            f"{name} is {said(value)}; use a whole number from {low} to {high:,}", name
        )


def _check_real(config: ModelConfig, name: str, low: float, below: float, wanted: str) -> None:
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name} is {said(value)}; use {wanted}", name)
    try:
        real = float(value)  # so that 0 and 0.0 give equal configs
    except OverflowError:
        real = math.inf
    if not low <= real < below:
        raise ConfigError(f"{name} is {real}; use {wanted}", name)
    object.__setattr__(config, name, real)
