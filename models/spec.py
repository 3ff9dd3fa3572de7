"""The block specification: the layers of stem, blocks and head that a config defines.

Networks, diagrams and cost counts are all derived from it. Each layer knows its parameters,
multiply-adds and output size. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from models.config import ModelConfig
from models.remembered import remembered

#: Most blocks in cached specifications, about 100 bytes each.
MOST_BLOCKS_KEPT = 20_000
#: Epsilons of torchvision's ResNet, the official ConvNeXt and ConvNeXt V2.
NORM_EPS = {
    "batch": 1e-5,
    "layer": 1e-6,
    "response": 1e-6,
}
# What each config value means for the layers. A value without an entry fails to build.
#: Whether convolutions have a bias.
BIASED = {"batch": False, "layer": True}
#: Whether stages have a downsampling layer of their own.
SEPARATE = {"in_block": False, "separate": True}
#: Index of the spatial convolution among a block's three.
SPATIAL = {"first": 1, "middle": 2}
#: Convolutions followed by an activation, and whether one follows the addition.
ACTIVE = {1: ((2,), False), 3: ((1, 2), True)}


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution with 'same' padding for odd kernels, none for even ones (patches)."""

    name: str
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    groups: int = 1
    bias: bool = False

    @property
    def padding(self) -> int:
        return self.kernel_size // 2 if self.kernel_size % 2 else 0

    @property
    def depthwise(self) -> bool:
        return self.groups == self.in_channels > 1

    @property
    def narrow_strided(self) -> bool:
        """Whether oneDNN's gradient is wrong in channels_last (oneDNN #6035)."""
        return self.kernel_size == 1 < self.stride and self.in_channels // self.groups < 16

    @property
    def parameters(self) -> int:
        weights = self.kernel_size**2 * self.in_channels // self.groups * self.out_channels
        return weights + self.bias * self.out_channels

    def output_size(self, size: int) -> int:
        return (size + 2 * self.padding - self.kernel_size) // self.stride + 1

    def macs(self, size: int) -> int:
        """Return the multiply-adds for an output of ``size`` x ``size``."""
        return (self.parameters - self.bias * self.out_channels) * size**2


@dataclass(frozen=True, slots=True)
class MaxPool:
    """3x3 stride 2, as in ResNet's stem."""

    name: str
    kernel_size: int = 3
    stride: int = 2
    parameters: int = 0

    @property
    def padding(self) -> int:
        return self.kernel_size // 2

    def output_size(self, size: int) -> int:
        return (size + 2 * self.padding - self.kernel_size) // self.stride + 1


@dataclass(frozen=True, slots=True)
class Norm:
    """Batch, layer or global response normalization, with a learned weight and bias per channel."""

    name: str
    kind: str
    channels: int

    @property
    def parameters(self) -> int:
        return 2 * self.channels


@dataclass(frozen=True, slots=True)
class Activation:
    name: str
    kind: str
    parameters: int = 0


@dataclass(frozen=True, slots=True)
class LayerScale:
    """A learned factor per channel (Touvron et al. 2021)."""

    name: str
    channels: int
    init: float

    @property
    def parameters(self) -> int:
        return self.channels


Layer = Conv | MaxPool | Norm | Activation | LayerScale


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """A residual block: branch + shortcut, then ``activation``, if any.

    An empty shortcut is the identity. ``drop_path`` is the block's stochastic depth.
    """

    branch: tuple[Layer, ...]
    shortcut: tuple[Layer, ...]
    activation: str | None
    drop_path: float

    @property
    def in_channels(self) -> int:
        return next(layer.in_channels for layer in self.branch if isinstance(layer, Conv))


@dataclass(frozen=True, slots=True)
class StageSpec:
    """Blocks at one resolution; ``downsample`` is empty where the first block has the stride."""

    downsample: tuple[Layer, ...]
    blocks: tuple[BlockSpec, ...]


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Stem, stages, global average pooling, optional head norm, classifier."""

    stem: tuple[Layer, ...]
    stages: tuple[StageSpec, ...]
    head_norm: Norm | None
    num_features: int
    num_classes: int

    @property
    def classifier_parameters(self) -> int:
        return (self.num_features + 1) * self.num_classes

    @property
    def classifier_macs(self) -> int:
        return self.num_features * self.num_classes


@dataclass(frozen=True, slots=True)
class PlacedLayer:
    """A layer in the network: ``path`` is its module's name, ``out_size`` the side of its output
    in pixels."""

    path: str
    layer: Layer
    out_size: int

    @property
    def macs(self) -> int:
        return self.layer.macs(self.out_size) if isinstance(self.layer, Conv) else 0


def _blocks(spec: NetworkSpec) -> int:
    return sum(len(stage.blocks) for stage in spec.stages)


@remembered(MOST_BLOCKS_KEPT, _blocks)
def network_spec(config: ModelConfig) -> NetworkSpec:
    """Return the specification of ``config``'s network."""
    stages = tuple(_stage(config, index) for index in range(len(config.depths)))
    separate = SEPARATE[config.downsampling]
    head_norm = Norm("norm", config.norm, config.num_features) if separate else None
    stem = STEMS[config.stem](config)
    return NetworkSpec(stem, stages, head_norm, config.num_features, config.num_classes)


def _resnet_stem(config: ModelConfig) -> tuple[Layer, ...]:
    biased = BIASED[config.norm]
    return (
        Conv("conv", config.in_channels, config.width, 7, stride=2, bias=biased),
        Norm("norm", config.norm, config.width),
        Activation("act", config.activation),
        MaxPool("pool"),
    )


def _patchify_stem(config: ModelConfig) -> tuple[Layer, ...]:
    patches = Conv("conv", config.in_channels, config.width, 4, stride=4, bias=True)
    if SEPARATE[config.downsampling]:
        return (patches, Norm("norm", config.norm, config.width))
    return (patches,)


STEMS: dict[str, Callable[[ModelConfig], tuple[Layer, ...]]] = {
    "resnet": _resnet_stem,
    "patchify": _patchify_stem,
}


def _stage(config: ModelConfig, index: int) -> StageSpec:
    width = config.output_width(index)
    entering = config.output_width(index - 1) if index else config.width
    downsample: tuple[Layer, ...] = ()
    stride = 2 if index else 1
    if SEPARATE[config.downsampling] and index:
        conv = Conv("conv", entering, width, 2, stride=2, bias=True)
        downsample = (Norm("norm", config.norm, entering), conv)
        entering, stride = width, 1
    first = block_spec(config, index, entering, stride, _drop_path(config, index, 0))
    other = block_spec(config, index, width)  # the others share these layers
    rest = (
        replace(other, drop_path=_drop_path(config, index, block))
        for block in range(1, config.depths[index])
    )
    return StageSpec(downsample, (first, *rest))


def _drop_path(config: ModelConfig, stage: int, block: int) -> float:
    before = sum(config.depths[:stage]) + block
    return config.stochastic_depth * before / max(sum(config.depths) - 1, 1)


def block_spec(
    config: ModelConfig, stage: int, in_channels: int, stride: int = 1, drop_path: float = 0.0
) -> BlockSpec:
    """Return a block of ``stage`` (from 0) with ``in_channels`` input channels."""
    out_channels = config.output_width(stage)
    convs = _block_convs(config, stage, in_channels, stride)
    spatial = SPATIAL[config.depthwise_position]
    normed = {1: (spatial,), 3: (1, 2, 3)}[config.norms_per_block]
    active, active_after = ACTIVE[config.activations_per_block]
    branch: list[Layer] = []
    for place, conv in enumerate(convs, start=1):
        branch.append(conv)
        if place in normed:
            branch.append(Norm(f"norm{place}", config.norm, conv.out_channels))
        if place in active:
            branch.append(Activation(f"act{place}", config.activation))
        if place == 2 and config.response_norm:
            branch.append(Norm("grn", "response", conv.out_channels))
    if config.layer_scale is not None:
        branch.append(LayerScale("scale", out_channels, config.layer_scale))
    shortcut: tuple[Layer, ...] = ()
    if stride != 1 or in_channels != out_channels:
        conv = Conv("conv", in_channels, out_channels, 1, stride=stride)
        shortcut = (conv, Norm("norm", config.norm, out_channels))
    after = config.activation if active_after else None
    return BlockSpec(tuple(branch), shortcut, after, drop_path)


def _block_convs(
    config: ModelConfig, stage: int, in_channels: int, stride: int
) -> tuple[Conv, Conv, Conv]:
    """Return a block's three convolutions, in order; the spatial one has the stride."""
    inner, out_channels = config.inner_width(stage), config.output_width(stage)
    bias = BIASED[config.norm]
    kernel = config.kernel_size
    if SPATIAL[config.depthwise_position] == 1:
        return (
            Conv("conv1", in_channels, in_channels, kernel, stride, groups=in_channels, bias=bias),
            Conv("conv2", in_channels, inner, 1, bias=bias),
            Conv("conv3", inner, out_channels, 1, bias=bias),
        )
    groups = inner if config.depthwise else config.groups
    return (
        Conv("conv1", in_channels, inner, 1, bias=bias),
        Conv("conv2", inner, inner, kernel, stride, groups=groups, bias=bias),
        Conv("conv3", inner, out_channels, 1, bias=bias),
    )


def place_layers(layers: tuple[Layer, ...], path: str, size: int) -> Iterator[PlacedLayer]:
    """Yield ``layers`` in order with their output sizes, for an input of ``size`` pixels.

    Raises ``ValueError`` if a layer would have no output pixel.
    """
    for layer in layers:
        out_size = layer.output_size(size) if isinstance(layer, Conv | MaxPool) else size
        if out_size < 1:
            raise ValueError(
                f"the image is too small for this network: {path}.{layer.name} would have no output"
            )
        yield PlacedLayer(f"{path}.{layer.name}", layer, out_size)
        size = out_size


def placed_layers(spec: NetworkSpec, image_size: int) -> Iterator[PlacedLayer]:
    """Yield every layer of stem and stages for a square image of ``image_size`` pixels.

    Paths are module names of the network. Raises ``ValueError`` if a layer would have no output
    pixel.
    """
    size = image_size
    for placed in place_layers(spec.stem, "stem", size):
        yield placed
        size = placed.out_size
    for number, stage in enumerate(spec.stages):
        for placed in place_layers(stage.downsample, f"stages.{number}.downsample", size):
            yield placed
            size = placed.out_size
        for index, block in enumerate(stage.blocks):
            path = f"stages.{number}.blocks.{index}"
            yield from place_layers(block.shortcut, f"{path}.shortcut", size)
            for placed in place_layers(block.branch, f"{path}.branch", size):
                yield placed
                size = placed.out_size
