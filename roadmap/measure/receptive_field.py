"""The theoretical receptive field: how much of the image one position of a stage can see."""

from __future__ import annotations

from dataclasses import dataclass

from models.config import ModelConfig
from models.spec import Conv, Layer, MaxPool, network_spec


@dataclass(frozen=True)
class ReceptiveField:
    """Side of the field in pixels after a part of the network, and pixels between neighbours."""

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
