"""The tensors that training must keep, counted from the block specification without torch.

What is left out: the workspace of single operations, copies that a device makes, and the loss. So
it is a lower bound of what a device needs, the same on every device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

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
from roadmap.measure.complexity import count

BYTES = 4  # of a float32
#: Float32 copies of each parameter: itself, its gradient, AdamW's first and second moment.
COPIES = 4
INDEX_BYTES = 8  # max pooling remembers where each maximum was, as int64
#: Whether an activation works in place and keeps its output, or keeps its input.
IN_PLACE = {
    "relu": True,
    "gelu": False,
}
#: Numbers that a norm keeps beside its input: in all, per channel, per position.
NORM_KEEPS = {
    "batch": (0, 0, 0),
    "layer": (0, 0, 2),  # mean and standard deviation
    "response": (1, 3, 0),  # the norms, weighted, over their mean
}


@dataclass(frozen=True)
class TrainingMemory:
    """In bytes: ``state`` for weights, gradients and AdamW's moments, ``saved`` for what the
    backward pass of one image reads (inputs of layers, mostly), both in float32."""

    state: int
    saved: int

    def batch(self, size: int) -> int:
        """Bytes to train with ``size`` images at a time."""
        return self.state + size * self.saved


@lru_cache(maxsize=512)
def training_memory(config: ModelConfig, image_size: int = 224) -> TrainingMemory:
    """What training ``config`` in channels_last keeps, stochastic depth aside.

    Raises ``ValueError`` for an image too small for the network.
    """
    return TrainingMemory(
        COPIES * BYTES * count(config, image_size).parameters, _saved(config, image_size)
    )


def _saved(config: ModelConfig, image_size: int) -> int:
    """Bytes that autograd saves for one image: each tensor once, whoever reads it."""
    spec = network_spec(config)
    walk = _Walk(config.in_channels, image_size)
    walk.layers(spec.stem, "stem")
    for number, stage in enumerate(spec.stages):
        walk.layers(stage.downsample, f"stages.{number}.downsample")
        for index, block in enumerate(stage.blocks):
            walk.block(block, f"stages.{number}.blocks.{index}")
    walk.size = 1  # averages over all positions
    walk.kept = False
    if spec.head_norm:
        walk.layers((spec.head_norm,), "head")
    if spec.num_classes:
        walk.keep()
    return walk.bytes


class _Walk:
    """Follows one image through the network; ``kept`` is whether the tensor it stands at is."""

    def __init__(self, channels: int, size: int):
        self.channels, self.size, self.kept, self.bytes = channels, size, False, 0

    def keep(self) -> None:
        """The tensor here is read by the backward pass."""
        if not self.kept:
            self.bytes += BYTES * self.channels * self.size**2
        self.kept = True

    def layers(self, layers: tuple[Layer, ...], path: str) -> None:
        for placed in place_layers(layers, path, self.size):
            self._layer(placed.layer, placed.out_size)

    def block(self, block: BlockSpec, path: str) -> None:
        start = (self.channels, self.size, self.kept)
        self.layers(block.branch, f"{path}.branch")
        if block.shortcut:
            (self.channels, self.size, _) = start
            self.kept = True  # by the branch, which begins with a convolution
            self.layers(block.shortcut, f"{path}.shortcut")
        self.kept = False  # the sum is a new tensor
        if block.activation:
            self._activation(block.activation)

    def _layer(self, layer: Layer, out_size: int) -> None:
        match layer:
            case Conv():
                self.keep()
                self.channels, self.kept = layer.out_channels, False
            case MaxPool():
                self.keep()
                self.bytes += INDEX_BYTES * self.channels * out_size**2
                self.kept = False
            case Norm():
                self.keep()
                self.kept = False
                once, per_channel, per_position = NORM_KEEPS[layer.kind]
                kept = once + per_channel * layer.channels + per_position * out_size**2
                self.bytes += BYTES * kept
            case LayerScale():
                self.keep()
                self.kept = False
            case Activation():
                self._activation(layer.kind)
            case _:
                raise TypeError(f"what a {type(layer).__name__} keeps is not known")
        self.size = out_size

    def _activation(self, kind: str) -> None:
        self.keep()
        self.kept = IN_PLACE[kind]
