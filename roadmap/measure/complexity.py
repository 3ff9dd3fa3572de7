"""Parameters, multiply-adds and activations of a network.

``count`` adds them up from the block specification: no torch, no weights, well under a
millisecond a block, for any config. ``trace`` measures any torch network with fvcore. The two agree
to the last multiply-add, which the tests hold them to.

A GFLOP of the paper is 1e9 multiply-adds of convolutions, linear layers and matrix products; norms,
activations and additions are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from models.config import ModelConfig
from models.spec import Conv, PlacedLayer, network_spec, placed_layers

if TYPE_CHECKING:
    from torch import nn

#: The operators, in fvcore's names, whose multiply-adds the paper counts.
COUNTED_OPERATORS = ("conv", "linear", "matmul")


@dataclass(frozen=True)
class ModuleCost:
    """One module: ``macs`` are multiply-adds, ``activations`` output elements of convolutions and
    linear layers, both for one image; ``out_size`` is the side of its output in pixels."""

    path: str
    kind: str
    parameters: int
    macs: int
    activations: int
    out_size: int


@dataclass(frozen=True)
class Complexity:
    """What one image costs in a network, and where."""

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

    ``operators`` has fvcore's count by operator; the three mappings by module have the totals
    of each module and, under ``""``, of the whole network.
    """

    operators: Mapping[str, int]
    macs_by_module: Mapping[str, int]
    parameters_by_module: Mapping[str, int]
    activations_by_module: Mapping[str, int]

    @property
    def parameters(self) -> int:
        return self.parameters_by_module[""]

    @property
    def macs(self) -> int:
        """Multiply-adds as the paper counts them."""
        return self.macs_by_module[""]

    @property
    def activations(self) -> int:
        return self.activations_by_module[""]


@lru_cache(maxsize=512)
def count(config: ModelConfig, image_size: int = 224) -> Complexity:
    """The cost of ``config`` for one square image of ``image_size`` pixels.

    Raises ``ValueError`` for an image too small for the network.
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


def trace(network: nn.Module, image_size: int = 224, in_channels: int = 3) -> Trace:
    """Counts by running ``network`` once on a zero image, on the CPU and in evaluation mode.

    Takes about a second for a network of ResNet-50's size. Attention must not be fused
    (``timm.layers.set_fused_attn(False)``), or its products go uncounted.
    """
    import torch
    from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis, parameter_count

    network = network.eval()
    image = torch.zeros(1, in_channels, image_size, image_size)
    flops = FlopCountAnalysis(network, image)
    activations = ActivationCountAnalysis(network, image)
    for analysis in (flops, activations):
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings("none")
    by_module = {
        path: sum(operators[name] for name in COUNTED_OPERATORS)
        for path, operators in flops.by_module_and_operator().items()
    }
    return Trace(
        operators=Counter(flops.by_operator()),
        macs_by_module=by_module,
        parameters_by_module=parameter_count(network),
        activations_by_module=activations.by_module(),
    )
