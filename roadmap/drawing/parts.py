"""Which part of a network a picture shows, and how it differs from another network's."""

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
class Part:
    """A piece of a network: ``lead`` layers in a row, then a block, if any.

    ``size`` and ``channels`` are those of its input.
    """

    name: str
    lead: tuple[Layer, ...]
    block: BlockSpec | None
    size: int
    channels: int


def stem_part(config: ModelConfig, image_size: int) -> Part:
    return Part("Stem", network_spec(config).stem, None, image_size, config.in_channels)


def block_part(config: ModelConfig, image_size: int, stage: int = 0) -> Part:
    """A block in the middle of a stage, where the shortcut is the identity, if there is one."""
    spec = network_spec(config)
    size = size_after(spec.stem, image_size)
    for earlier in spec.stages[:stage]:
        size = size_after(earlier.downsample + earlier.blocks[0].branch, size)
    blocks = spec.stages[stage].blocks
    if len(blocks) == 1:
        size = size_after(spec.stages[stage].downsample, size)
        channels = blocks[0].branch[0].in_channels
    else:
        size = size_after(spec.stages[stage].downsample + blocks[0].branch, size)
        channels = config.output_width(stage)
    return Part("Block", (), blocks[-1], size, channels)


def first_part(config: ModelConfig, image_size: int, stage: int) -> Part:
    """What stands between a stage, or the stem, and the middle of ``stage`` (from 0)."""
    spec = network_spec(config)
    size = size_after(spec.stem, image_size)
    for earlier in spec.stages[:stage]:
        size = size_after(earlier.downsample + earlier.blocks[0].branch, size)
    channels = config.output_width(stage - 1) if stage else config.width
    entered = spec.stages[stage]
    return Part("Entry", entered.downsample, entered.blocks[0], size, channels)


def size_after(layers: tuple[Layer, ...], size: int) -> int:
    return next((p.out_size for p in reversed(list(place_layers(layers, "network", size)))), size)


def roles_of(layers: Iterable[Layer], where: str) -> dict[tuple[str, ...], Layer]:
    """Each layer under what it does in its part, so that a layer can be found again after.

    Pointwise convolutions are counted; a norm or an activation belongs to the layer before it.
    """
    roles: dict[tuple[str, ...], Layer] = {}
    owner, pointwise = "start", 0
    for layer in layers:
        if isinstance(layer, Conv):
            pointwise += layer.kernel_size == 1
            owner = f"pointwise{pointwise}" if layer.kernel_size == 1 else "spatial"
            role = (where, owner)
        else:
            role = (where, owner, type(layer).__name__)
        roles[role] = layer
    return roles


def part_roles(part: Part) -> dict[tuple[str, ...], Layer]:
    roles = roles_of(part.lead, "lead")
    if part.block:
        roles |= roles_of(part.block.branch, "branch") | roles_of(part.block.shortcut, "shortcut")
        if part.block.activation:
            roles["after",] = Activation("act", part.block.activation)
    return roles


def _essence(layer: Layer) -> tuple[object, ...]:
    """What makes a layer another one in a picture; a norm's channels follow its convolution."""
    if isinstance(layer, Conv):
        return layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.groups
    if isinstance(layer, Norm | Activation):
        return (layer.kind,)
    if isinstance(layer, MaxPool | LayerScale):
        return ()
    raise TypeError(f"no picture of a {type(layer).__name__}")


def signature(part: Part) -> object:
    return [(role, _essence(layer)) for role, layer in part_roles(part).items()]


def marks_of(part: Part, other: Part | None, missing: str) -> dict[tuple[str, ...], str]:
    """For each role of ``part`` that differs in ``other``: ``missing`` or ``changed``."""
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
    """Whether the spatial convolution stands elsewhere in the block."""

    def place(roles: list[tuple[str, ...]]) -> int:
        convs = [role for role in roles if role[0] == "branch" and len(role) == 2]
        return convs.index(("branch", "spatial")) if ("branch", "spatial") in convs else -1

    return place(mine) != place(theirs)
