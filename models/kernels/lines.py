"""Residual branches in inference as straight lines of operators.

With few images, a branch takes as long as the host needs to start its kernels, and modules, casts
and autocast's checks take a third of that. A line calls the operators alone; under autocast, with
parameters that are cast and viewed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook as has_any_global_hook

from models.kernels.depthwise import DepthwiseConv2d, operator
from models.kernels.layer_norm import LayerNorm2d
from models.kernels.layer_scale import LayerScale
from models.kernels.mlp import operators
from models.kernels.mlp.layer import mlp_of
from models.kernels.pointwise import PointwiseConv2d
from models.kernels.tracing import plain

#: One operator, or a few; of images (N, C, H, W) or of rows (N, H, W, C).
Step = Callable[[Tensor], Tensor]
Found = Callable[[Tensor | None], Any]
BY_POSITION = (LayerNorm2d, PointwiseConv2d, nn.GELU, nn.ReLU, LayerScale)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Line:
    """The layers of ``branch``, whose parameters ``found`` returns in autocast's dtype; without
    ``found``, in float32 without autocast.

    Layers of other projects, and those that autocast leaves alone, are called as they are.
    """

    def __init__(self, branch: nn.Sequential, found: Found | None = None):
        self._modules, self._layers = branch._modules, list(branch)
        self._hooks = [getattr(layer, name) for layer in self._layers for name in HOOKS]
        self._parameters = [
            (layer._parameters, name, each)
            for layer in self._layers
            for name, each in layer._parameters.items()
        ]
        self._autocast = found is not None
        self._steps = list(_steps(self._layers, found) if found else _steps_in_full(self._layers))

    @property
    def current(self) -> bool:
        """Whether the branch has the layers and parameters that it had."""
        return list(self._modules.values()) == self._layers and all(
            now[name] is each for now, name, each in self._parameters
        )

    def fits(self, x: Tensor) -> bool:
        """Return whether nothing but the layers themselves sees ``x`` pass."""
        return plain(x) and not any(self._hooks) and not has_any_global_hook()

    def __call__(self, x: Tensor) -> Tensor:
        """Apply it to ``x`` (N, C, H, W), channels_last and in the parameters' dtype."""
        if not self._autocast:
            return self._run(x)
        # Not the context manager, which takes 10 µs.
        torch.set_autocast_enabled("cuda", False)
        try:
            return self._run(x)
        finally:
            torch.set_autocast_enabled("cuda", True)

    def _run(self, x: Tensor) -> Tensor:
        of_rows = False
        for by_rows, step in self._steps:
            if by_rows != of_rows:
                x = x.permute(0, 2, 3, 1) if by_rows else x.permute(0, 3, 1, 2)
                of_rows = by_rows
            x = step(x)
        return x.permute(0, 3, 1, 2) if of_rows else x


def _steps(layers: list[nn.Module], found: Found) -> Iterable[tuple[bool, Step]]:
    while layers:
        if mlp_of(layers[:3]):
            yield True, _mlp(layers[0], layers[2], found)
            layers = layers[3:]
        else:
            layer, *layers = layers
            yield type(layer) in BY_POSITION, _step(layer, found)


def _steps_in_full(layers: list[nn.Module]) -> Iterable[tuple[bool, Step]]:
    """In float32, convolutions stay convolutions, which use TensorFloat-32 by default."""
    for layer in layers:
        if type(layer) in (DepthwiseConv2d, LayerNorm2d):
            yield type(layer) is LayerNorm2d, _step(layer, lambda parameter: parameter)
        elif type(layer) is PointwiseConv2d:
            yield False, partial(F.conv2d, weight=layer.weight, bias=layer.bias)
        elif type(layer) is nn.GELU:
            yield False, partial(F.gelu, approximate=layer.approximate)
        else:
            yield False, layer


def _mlp(first: Any, second: Any, found: Found) -> Step:
    weight1, bias1 = found(first.weight).flatten(1), found(first.bias)
    weight2, bias2 = found(second.weight).flatten(1).t(), found(second.bias)
    if bias1 is None:
        bias1 = weight1.new_zeros(len(weight1))
    if bias2 is None:
        bias2 = weight2.new_zeros(weight2.shape[1])

    def step(rows: Tensor) -> Tensor:
        hidden = operators.linear_gelu(rows.view(-1, weight1.shape[1]), weight1, bias1)
        return torch.addmm(bias2, hidden, weight2).view(*rows.shape[:3], -1)

    return step


def _step(layer: Any, found: Found) -> Step:
    if type(layer) is DepthwiseConv2d and layer.padding_mode == "zeros":
        return _depthwise(layer, found)
    if type(layer) is LayerNorm2d:
        shape, weight, bias = layer.normalized_shape, found(layer.weight), found(layer.bias)
        return lambda rows: torch.layer_norm(rows, shape, weight, bias, layer.eps)
    if type(layer) is PointwiseConv2d:
        weight, bias = found(layer.weight).flatten(1), found(layer.bias)
        return lambda rows: F.linear(rows, weight, bias)
    if type(layer) is LayerScale:
        gamma = found(layer.gamma).flatten()
        return lambda rows: rows * gamma
    if type(layer) is nn.GELU:
        return lambda rows: F.gelu(rows, approximate=layer.approximate)
    if type(layer) is nn.ReLU:
        return torch.relu
    return _called(layer)


def _called(layer: nn.Module) -> Step:
    def step(x: Tensor) -> Tensor:
        torch.set_autocast_enabled("cuda", True)
        try:
            return layer(x)
        finally:
            torch.set_autocast_enabled("cuda", False)

    return step


def _depthwise(layer: DepthwiseConv2d, found: Found) -> Step:
    if layer.own:
        weight, bias = layer.weight, layer.bias  # the kernels read float32
        stride, padding = layer.stride[0], int(layer.padding[0])
        return lambda x: operator.convolved(x, weight, bias, stride, padding)
    weight, bias = found(layer.weight), found(layer.bias)
    options: Any = (layer.stride, layer.padding, layer.dilation, layer.groups)
    return lambda x: F.conv2d(x, weight, bias, *options)
