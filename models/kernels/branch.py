"""Layers one after the other: those of a residual branch, and the stages of a network."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook as has_any_global_hook

from models.kernels import casts
from models.kernels.depthwise import DepthwiseConv2d
from models.kernels.layer_norm import LayerNorm2d
from models.kernels.layer_scale import LayerScale
from models.kernels.mlp.layer import applied, fits
from models.kernels.pointwise import PointwiseConv2d, in_half_on_cuda
from models.kernels.tracing import exporting

#: Layers that treat the positions of an image one by one.
BY_POSITION = (LayerNorm2d, PointwiseConv2d, nn.GELU, nn.ReLU)
#: Layers that look for parameters that were cast together.
CASTING = (DepthwiseConv2d, LayerNorm2d, LayerScale, PointwiseConv2d)
#: Of each network's stages; not an attribute of theirs, which would be saved and copied.
_parameters: WeakKeyDictionary[nn.Module, casts.Parameters] = WeakKeyDictionary()


class Branch(nn.Sequential):
    """``nn.Sequential`` that on CUDA runs layers together where that is faster.

    In channels_last and half precision, layers that treat positions one by one share one view
    (N, H, W, C), and two 1x1 convolutions with a GELU between them may run on kernels of this
    project. Layers with hooks are called one by one.
    """

    def forward(self, x: Tensor) -> Tensor:
        # TorchScript omits code only behind this exact condition.
        if not torch.jit.is_scripting():  # noqa: SIM102
            if _together(x) and not _hooked(self):
                return _run(list(self), x)
        for layer in self:
            x = layer(x)
        return x


class Stages(nn.Sequential):
    """``nn.Sequential`` that, in inference under autocast on CUDA, casts parameters together."""

    def forward(self, x: Tensor) -> Tensor:
        # TorchScript omits code only behind this exact condition.
        if not torch.jit.is_scripting():  # noqa: SIM102
            if _together(x) and casts.useful(x):
                return _cast_together(self, x)
        for stage in self:
            x = stage(x)
        return x


def _cast_together(stages: Stages, x: Tensor) -> Tensor:
    parameters = _parameters.get(stages)
    if parameters is None or not parameters.current:
        layers = [layer for layer in stages.modules() if isinstance(layer, CASTING)]
        parameters = _parameters[stages] = casts.Parameters(layers)
    with casts.cast_together(parameters, torch.get_autocast_dtype("cuda")):
        for stage in stages:
            x = stage(x)
    return x


def _together(x: Tensor) -> bool:
    return (
        not isinstance(x, torch.fx.Proxy)
        and in_half_on_cuda(x)
        and x.is_contiguous(memory_format=torch.channels_last)
        and not exporting()
    )


def _hooked(layers: Branch) -> bool:
    """Return whether something waits for calls of ``layers``."""
    return has_any_global_hook() or any(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
        for layer in layers
    )


def _run(layers: list[nn.Module], x: Tensor) -> Tensor:
    first = 0
    while first < len(layers):
        last = first
        while last < len(layers) and isinstance(layers[last], BY_POSITION):
            last += 1
        if last > first:
            x = _by_rows(layers[first:last], x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        else:
            last += 1
            x = layers[first](x)
        first = last
    return x


def _by_rows(layers: list[nn.Module], rows: Tensor) -> Tensor:
    while layers:
        if fits(layers[:3], rows):
            rows, layers = applied(layers[:3], rows), layers[3:]
        else:
            layer, *layers = layers
            rows = getattr(layer, "by_rows", layer)(rows)
    return rows
