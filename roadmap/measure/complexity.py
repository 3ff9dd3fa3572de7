"""Parameters, multiply-adds and activations of a network.

``count`` adds them up from the block specification, without torch, in less than a millisecond per
block. ``trace`` measures any torch network with fvcore. Both give equal numbers; tests check it.

One GFLOP is 1e9 multiply-adds of convolutions, linear layers and matrix products, as in the paper;
norms, activations and additions are not counted.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from models.config import ModelConfig
from models.remembered import remembered
from models.spec import (
    STEMS,
    Conv,
    Layer,
    PlacedLayer,
    network_spec,
    place_layers,
    placed_layers,
)

if TYPE_CHECKING:
    from torch import nn

#: fvcore's names of the operators that the paper counts.
COUNTED_OPERATORS = ("conv", "linear", "matmul")
#: Most modules in cached counts, about 300 bytes each.
MOST_MODULES_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class ModuleCost:
    """The cost of one module per image.

    ``macs`` are multiply-adds, ``activations`` output elements of convolutions and linear layers;
    ``out_size`` is the side of the output in pixels.
    """

    path: str
    kind: str
    parameters: int
    macs: int
    activations: int
    out_size: int


@dataclass(frozen=True)
class Complexity:
    """The cost of a network per image, by module."""

    modules: tuple[ModuleCost, ...]

    @property
    def parameters(self) -> int:
        return sum(module.parameters for module in self.modules)

    @property
    def macs(self) -> int:
        return sum(module.macs for module in self.modules)

    @property
    def activations(self) -> int:
        return sum(module.activations for module in self.modules)


@dataclass(frozen=True)
class Trace:
    """fvcore's analysis of one forward pass with one image.

    Each mapping has totals by module path; the path of the whole network is ``""``.
    ``operators_by_module`` maps each path to counts by operator.
    """

    operators_by_module: Mapping[str, Mapping[str, int]]
    parameters_by_module: Mapping[str, int]
    activations_by_module: Mapping[str, int]

    @property
    def operators(self) -> Mapping[str, int]:
        return self.operators_by_module[""]

    @property
    def parameters(self) -> int:
        return self.parameters_by_module[""]

    @property
    def macs(self) -> int:
        return self.macs_of("")

    def macs_of(self, path: str) -> int:
        """Return the multiply-adds of a module, as the paper counts them."""
        operators = self.operators_by_module.get(path, {})
        return sum(operators.get(name, 0) for name in COUNTED_OPERATORS)

    @property
    def activations(self) -> int:
        return self.activations_by_module[""]


def _modules(complexity: Complexity) -> int:
    return len(complexity.modules)


@remembered(MOST_MODULES_KEPT, _modules)
def count(config: ModelConfig, image_size: int = 224) -> Complexity:
    """Return the cost of ``config`` for one square image of ``image_size`` pixels.

    Raises ``ValueError`` if the image is too small for the network.
    """
    spec = network_spec(config)
    modules = [_module_cost(placed) for placed in placed_layers(spec, image_size)]
    if spec.head_norm:
        modules.append(ModuleCost("head.norm", "norm", spec.head_norm.parameters, 0, 0, 1))
    if spec.num_classes:
        modules.append(
            ModuleCost(
                "head.fc",
                "linear",
                spec.classifier_parameters,
                spec.classifier_macs,
                spec.num_classes,
                1,
            )
        )
    return Complexity(tuple(modules))


def totals(config: ModelConfig, image_size: int = 224) -> tuple[int, int]:
    """Return the multiply-adds and parameters of ``count``, without listing every module.

    Several times as fast, for studies of thousands of networks. Raises ``ValueError`` for an image
    too small for the network.
    """
    # Stages are counted once for all stems, and of equal blocks only one.
    stem, size = _walk(STEMS[config.stem](config), image_size)
    stages = config.replace(stem=next(iter(STEMS)), depths=(2,) * len(config.depths))
    head, parts = _stage_totals(stages, size)
    whole = stem + head
    for depth, (first, other) in zip(config.depths, parts, strict=True):
        whole += first + other * (depth - 1)
    return whole.macs, whole.parameters


@lru_cache(maxsize=1 << 12)
def _stage_totals(
    config: ModelConfig, size: int
) -> tuple[_Totals, tuple[tuple[_Totals, _Totals], ...]]:
    """Return the totals of the head, and of each stage's first block, with what is before it in the
    stage, and second block, for stages that get ``size`` pixels."""
    spec = network_spec.__wrapped__(config)  # one of thousands: do not displace what pages show
    head = _Totals(0, 0)
    if spec.head_norm:
        head += _Totals(0, spec.head_norm.parameters)
    if spec.num_classes:
        head += _Totals(spec.classifier_macs, spec.classifier_parameters)
    parts = []
    for stage in spec.stages:
        downsample, size = _walk(stage.downsample, size)
        shortcut, _ = _walk(stage.blocks[0].shortcut, size)
        branch, size = _walk(stage.blocks[0].branch, size)
        other, _ = _walk(stage.blocks[1].branch, size)
        parts.append((downsample + shortcut + branch, other))
    return head, tuple(parts)


def _walk(layers: tuple[Layer, ...], size: int) -> tuple[_Totals, int]:
    """Return the totals of ``layers`` for an input of ``size`` pixels, and their output's size."""
    total = _Totals(0, 0)
    for placed in place_layers(layers, "", size):
        total += _Totals(placed.macs, placed.layer.parameters)
        size = placed.out_size
    return total, size


@dataclass(frozen=True, slots=True)
class _Totals:
    macs: int
    parameters: int

    def __add__(self, other: _Totals) -> _Totals:
        return _Totals(self.macs + other.macs, self.parameters + other.parameters)

    def __mul__(self, times: int) -> _Totals:
        return _Totals(self.macs * times, self.parameters * times)


def _module_cost(placed: PlacedLayer) -> ModuleCost:
    layer, size = placed.layer, placed.out_size
    activations = layer.out_channels * size**2 if isinstance(layer, Conv) else 0
    return ModuleCost(placed.path, _kind(placed), layer.parameters, placed.macs, activations, size)


def _kind(placed: PlacedLayer) -> str:
    layer = placed.layer
    if isinstance(layer, Conv):
        return "depthwise" if layer.depthwise else "conv"
    return {"MaxPool": "pool", "LayerScale": "scale"}.get(
        type(layer).__name__, type(layer).__name__.lower()
    )


def trace(network: nn.Module, image_size: int = 224) -> Trace:
    """Run ``network`` on one zero RGB image on the CPU, in evaluation mode; count with fvcore.

    Takes about a second for ResNet-50. Disable fused attention first
    (``timm.layers.set_fused_attn(False)``), since fvcore cannot count it.
    """
    import torch

    with warnings.catch_warnings():  # importing fvcore scripts a function, which torch deprecates
        warnings.simplefilter("ignore")
        from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis, parameter_count

    network = network.eval()
    image = torch.zeros(1, 3, image_size, image_size)
    flops = FlopCountAnalysis(network, image)
    activations = ActivationCountAnalysis(network, image)
    for analysis in (flops, activations):
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings("none")
    return Trace(
        operators_by_module=flops.by_module_and_operator(),
        parameters_by_module=parameter_count(network),
        activations_by_module=activations.by_module(),
    )
