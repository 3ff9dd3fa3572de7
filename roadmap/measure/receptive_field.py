"""The theoretical receptive field: how much of the image one position of a stage can see."""

from __future__ import annotations

from dataclasses import dataclass

from models.config import ModelConfig
from models.spec import Conv, Layer, MaxPool, network_spec, placed_layers


@dataclass(frozen=True)
class ReceptiveField:
    """Side of the field in pixels after a part of the network, and pixels between neighbors."""

    part: str
    size: int
    stride: int


def receptive_fields(config: ModelConfig) -> tuple[ReceptiveField, ...]:
    """The field after the stem and after each stage, padding ignored.

    Along the branches, where the spatial convolutions are: each layer adds (kernel - 1) times the
    stride before it (Araujo et al. 2019, "Computing Receptive Fields of Convolutional Neural
    Networks").
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
    """The pixel, from 0, on which the middle position of the last stage looks.

    It is between two pixels where even kernels take part. Of an even number of positions it is
    the one after the middle.
    """
    placed = list(placed_layers(network_spec(config), image_size))
    first, stride = 0.0, 1
    for place in placed:
        layer = place.layer
        if isinstance(layer, Conv | MaxPool) and ".shortcut." not in place.path:
            first += ((layer.kernel_size - 1) / 2 - layer.padding) * stride
            stride *= layer.stride
    return first + placed[-1].out_size // 2 * stride
