"""Memory of the tensors that training keeps, from the block specification without torch.

It is a lower bound on every device, since it excludes workspaces of operations, copies that a
device makes, and the loss.
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

BYTES = 4  # per float32 number
#: Float32 copies of each parameter: itself, its gradient, AdamW's first and second moment.
COPIES = 4
INDEX_BYTES = 8  # max pooling saves the position of each maximum as int64
#: Whether an activation works in place and saves its output instead of its input.
IN_PLACE = {
    "relu": True,
    "gelu": False,
}
#: Numbers that a norm saves besides its input: in total, per channel, per position.
NORM_KEEPS = {
    "batch": (0, 0, 0),
    "layer": (0, 0, 2),  # mean and standard deviation
    "response": (1, 3, 0),  # mean; norms, normalized norms and scales
}


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes in float32: ``state`` for weights, gradients and AdamW's moments; ``saved`` for the
    tensors (mostly layer inputs) that the backward pass of one image reads."""

    state: int
    saved: int

    def batch(self, size: int) -> int:
        """Return the bytes for training with a batch size of ``size``."""
        return self.state + size * self.saved


@lru_cache(maxsize=512)
def training_memory(config: ModelConfig, image_size: int = 224) -> TrainingMemory:
    """Return the memory for training ``config`` in channels_last, without stochastic depth.

    Raises ``ValueError`` if the image is too small for the network.
    """
    return TrainingMemory(
        COPIES * BYTES * count(config, image_size).parameters, _saved(config, image_size)
    )


def _saved(config: ModelConfig, image_size: int) -> int:
    """Return the bytes that autograd saves for one image, counting each tensor once."""
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
    """Follows one image through the network; ``kept`` says whether the current tensor is saved."""

    def __init__(self, channels: int, size: int):
        self.channels, self.size, self.kept, self.bytes = channels, size, False, 0

    def keep(self) -> None:
        """Count the current tensor, which the backward pass reads."""
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
            self.kept = True  # by the branch, whose first layer is a convolution
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
                raise TypeError(f"the memory of a {type(layer).__name__} is unknown")
        self.size = out_size

    def _activation(self, kind: str) -> None:
        self.keep()
        self.kept = IN_PLACE[kind]
