"""Parts of a network to draw, and how they differ from another network's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from models.config import ModelConfig
from models.spec import (
    Activation,
    BlockSpec,
    Conv,
    Layer,
    LayerScale,
    MaxPool,
    Norm,
    network_spec,
    place_layers,
)


@dataclass(frozen=True)
class DrawnPart:
    """A part of a network: ``lead`` layers in sequence, then a block, if any.

    ``size`` and ``channels`` describe its input.
    """

    name: str
    lead: tuple[Layer, ...]
    block: BlockSpec | None
    size: int
    channels: int


def stem_part(config: ModelConfig, image_size: int) -> DrawnPart:
    return DrawnPart("Stem", network_spec(config).stem, None, image_size, config.in_channels)


def block_part(config: ModelConfig, image_size: int, stage: int = 0) -> DrawnPart:
    """Return a block from the middle of a stage (identity shortcut), if there is one."""
    spec = network_spec(config)
    size = size_after(spec.stem, image_size)
    for earlier in spec.stages[:stage]:
        size = size_after(earlier.downsample + earlier.blocks[0].branch, size)
    blocks = spec.stages[stage].blocks
    if len(blocks) == 1:
        size = size_after(spec.stages[stage].downsample, size)
        channels = blocks[0].in_channels
    else:
        size = size_after(spec.stages[stage].downsample + blocks[0].branch, size)
        channels = config.output_width(stage)
    return DrawnPart("Block", (), blocks[-1], size, channels)


def first_part(config: ModelConfig, image_size: int, stage: int) -> DrawnPart:
    """Return the layers between the stem or previous stage and ``stage``'s middle (from 0)."""
    spec = network_spec(config)
    size = size_after(spec.stem, image_size)
    for earlier in spec.stages[:stage]:
        size = size_after(earlier.downsample + earlier.blocks[0].branch, size)
    channels = config.output_width(stage - 1) if stage else config.width
    entered = spec.stages[stage]
    return DrawnPart("Entry", entered.downsample, entered.blocks[0], size, channels)


def size_after(layers: tuple[Layer, ...], size: int) -> int:
    return next((p.out_size for p in reversed(list(place_layers(layers, "network", size)))), size)


def roles_of(layers: Iterable[Layer], where: str) -> dict[tuple[str, ...], Layer]:
    """Index each layer by its role in the part, so that it can be matched across networks.

    Pointwise convolutions are numbered; norms and activations belong to the layer before them.
    """
    roles: dict[tuple[str, ...], Layer] = {}
    owner, pointwise = "start", 0
    for layer in layers:
        if isinstance(layer, Conv):
            pointwise += layer.kernel_size == 1
            owner = f"pointwise{pointwise}" if layer.kernel_size == 1 else "spatial"
            roles[where, owner] = layer
        else:
            roles[where, owner, type(layer).__name__] = layer
    return roles


def part_roles(part: DrawnPart) -> dict[tuple[str, ...], Layer]:
    roles = roles_of(part.lead, "lead")
    if part.block:
        roles |= roles_of(part.block.branch, "branch") | roles_of(part.block.shortcut, "shortcut")
        if part.block.activation:
            roles["after",] = Activation("act", part.block.activation)
    return roles


def _essence(layer: Layer) -> tuple[object, ...]:
    """Return what is compared between layers; a norm's channels follow its convolution's."""
    if isinstance(layer, Conv):
        return layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.groups
    if isinstance(layer, Norm | Activation):
        return (layer.kind,)
    if isinstance(layer, MaxPool | LayerScale):
        return ()
    raise TypeError(f"cannot draw a {type(layer).__name__}")


def signature(part: DrawnPart) -> object:
    return [(role, _essence(layer)) for role, layer in part_roles(part).items()]


def marks_of(part: DrawnPart, other: DrawnPart | None, missing: str) -> dict[tuple[str, ...], str]:
    """Map each role of ``part`` that differs in ``other`` to ``missing`` or ``changed``."""
    if other is None:
        return {}
    mine, theirs = part_roles(part), part_roles(other)
    marks = {}
    for role, layer in mine.items():
        if role not in theirs:
            marks[role] = missing
        elif missing == "added" and _essence(theirs[role]) != _essence(layer):
            marks[role] = "changed"
    if missing == "added" and _moved(list(mine), list(theirs)):
        marks["branch", "spatial"] = "changed"
    return marks


def _moved(mine: list[tuple[str, ...]], theirs: list[tuple[str, ...]]) -> bool:
    """Whether the spatial convolution has another position in the block."""

    def place(roles: list[tuple[str, ...]]) -> int:
        convs = [role for role in roles if role[0] == "branch" and len(role) == 2]
        return convs.index(("branch", "spatial")) if ("branch", "spatial") in convs else -1

    return place(mine) != place(theirs)
