"""The theoretical receptive field: how much of the image one position of a stage depends on."""

from __future__ import annotations

from dataclasses import dataclass

from models.config import ModelConfig
from models.spec import Conv, Layer, MaxPool, network_spec, placed_layers


@dataclass(frozen=True)
class ReceptiveField:
    """The field after ``part`` of the network: ``size`` is its side, ``stride`` the distance of
    neighboring positions, both in pixels."""

    part: str
    size: int
    stride: int


def receptive_fields(config: ModelConfig) -> tuple[ReceptiveField, ...]:
    """Return the field after the stem and after each stage, ignoring padding.

    Each layer of the branches adds (kernel size - 1) times the stride before it (Araujo et al.
    2019, "Computing Receptive Fields of Convolutional Neural Networks").
    """
    spec = network_spec(config)
    size, stride = _through(spec.stem, 1, 1)
    fields = [ReceptiveField("stem", size, stride)]
    for number, stage in enumerate(spec.stages, start=1):
        size, stride = _through(stage.downsample, size, stride)
        for block in stage.blocks:
            size, stride = _through(block.branch, size, stride)
        fields.append(ReceptiveField(f"stage {number}", size, stride))
    return tuple(fields)


def _through(layers: tuple[Layer, ...], size: int, stride: int) -> tuple[int, int]:
    for layer in layers:
        if isinstance(layer, Conv | MaxPool):
            size += (layer.kernel_size - 1) * stride
            stride *= layer.stride
    return size, stride


def center(config: ModelConfig, image_size: int) -> float:
    """Return the center of the field of the last stage's middle position, in pixels from 0.

    Even kernels can put it between two pixels. If the number of positions is even, the middle
    position is the one after the middle.
    """
    placed = list(placed_layers(network_spec(config), image_size))
    first, stride = 0.0, 1
    for place in placed:
        layer = place.layer
        if isinstance(layer, Conv | MaxPool) and ".shortcut." not in place.path:
            first += ((layer.kernel_size - 1) / 2 - layer.padding) * stride
            stride *= layer.stride
    return first + placed[-1].out_size // 2 * stride
