"""Residual branches in inference as straight lines of operators.

With few images, a branch takes as long as the host needs to start its kernels, and modules, casts
and autocast's checks take a third of that. A line calls the operators alone; under autocast, with
parameters that are cast and viewed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter, is_
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook as has_any_global_hook

from models.kernels.depthwise import DepthwiseConv2d, operator
from models.kernels.depthwise.autograd import worthwhile_in_float32
from models.kernels.gelu import GELU
from models.kernels.layer_norm import LayerNorm2d
from models.kernels.layer_scale import LayerScale
from models.kernels.mlp import operators
from models.kernels.mlp.layer import mlp_of
from models.kernels.pointwise import PointwiseConv2d
from models.kernels.tracing import PLAIN_TYPES, plain

#: Whether it takes and returns rows (N, H, W, C), not images (N, C, H, W), and what to call.
Step = tuple[bool, Callable[[Tensor], Tensor]]
#: Returns a parameter in the dtype in which it is used.
Found = Callable[[Tensor | None], Any]
#: Layers that treat the positions of an image one by one; of them, those for images (N, C, H, W)
#: that take rows (N, H, W, C) in a method of their own.
BY_ROWS = (LayerNorm2d, PointwiseConv2d, LayerScale)
BY_POSITION = (*BY_ROWS, GELU, nn.ReLU)
#: What a line reads from layers once.
SETTINGS = {
    DepthwiseConv2d: attrgetter("stride", "padding", "dilation", "groups", "padding_mode", "own"),
    GELU: attrgetter("approximate"),
}
#: Parameters of layers whose operators a line calls itself.
PARAMETERS = {
    **dict.fromkeys((DepthwiseConv2d, LayerNorm2d, PointwiseConv2d), ("weight", "bias")),
    LayerScale: ("gamma",),
}
#: Multiply-adds of a 1x1 convolution up to which its product in full float32 precision is faster,
#: since the GPU waits for launches anyway.
MOST_IN_FULL = 1 << 30


class Line:
    """The layers of ``branch`` under autocast; ``found`` returns parameters in its dtype.

    Layers of other projects, and those that autocast leaves alone, are called as they are.
    """

    def __init__(self, branch: nn.Sequential, found: Found):
        self._watch(branch)
        self._steps = list(_steps(self._layers, found))

    def _watch(self, branch: nn.Sequential) -> None:
        self._modules, self._layers = branch._modules, list(branch)
        self._by_name = [layer._parameters for layer in self._layers]
        self._parameters = self._present()
        read = [(SETTINGS[type(layer)], layer) for layer in self._layers if type(layer) in SETTINGS]
        self._settings = [(settings, layer, settings(layer)) for settings, layer in read]

    @property
    def current(self) -> bool:
        """Whether the branch has the layers, parameters and settings that it had.

        A layer may have lost a parameter: to ``torch.nn.utils.parametrize`` or ``prune``.
        """
        present = self._present()
        return (
            list(self._modules.values()) == self._layers
            and len(present) == len(self._parameters)
            and all(map(is_, present, self._parameters))
            and all(settings(layer) == before for settings, layer, before in self._settings)
        )

    def _present(self) -> list[Tensor | None]:
        return [*chain.from_iterable(map(dict.values, self._by_name))]

    def fits(self, x: Tensor) -> bool:
        """Return whether no hook, mode or tracer observes the layers."""
        return plain(x) and not watched(self._layers)

    def __call__(self, x: Tensor) -> Tensor:
        """Apply it to ``x`` (N, C, H, W), channels_last and in autocast's dtype."""
        # Not the context manager, which takes 10 µs.
        torch.set_autocast_enabled("cuda", False)
        try:
            return _run(self._steps, x)
        finally:
            torch.set_autocast_enabled("cuda", True)


class FullLine(Line):
    """The layers of ``branch`` in float32, without autocast.

    PyTorch's convolutions use TensorFloat-32 by default, its products do not: they are slower with
    many images, but launched in half the time.
    """

    def __init__(self, branch: nn.Sequential):
        self._watch(branch)
        with torch.inference_mode(False), torch.no_grad():
            self._steps = list(_steps_in_full(self._layers, products=False))
            self._of_few = list(_steps_in_full(self._layers, products=True))
        viewed = [layer for layer in self._layers if type(layer) in (PointwiseConv2d, LayerScale)]
        self._viewed: list[Any] = [
            layer._parameters[PARAMETERS[type(layer)][0]]
            for layer in viewed
            if _plain_parameters(layer)
        ]
        self._addresses = self._present_addresses()
        weights = [layer.weight for layer in self._layers if isinstance(layer, PointwiseConv2d)]
        self._per_position = max((weight.numel() for weight in weights), default=0)

    @property
    def current(self) -> bool:
        """Whether it still matches the branch and its parameters' memory."""
        return super().current and self._present_addresses() == self._addresses

    def _present_addresses(self) -> list[int]:
        return [each.data_ptr() for each in self._viewed]

    def __call__(self, x: Tensor) -> Tensor:
        """Apply it to ``x`` (N, C, H, W), channels_last."""
        positions = x.numel() // x.shape[1]
        few = positions * self._per_position <= MOST_IN_FULL
        return _run(self._of_few if few else self._steps, x)


def watched(layers: Sequence[nn.Module]) -> bool:
    """Return whether calls of ``layers`` do more than their classes say: a layer has hooks, or a
    ``forward`` of its own."""
    return has_any_global_hook() or any(map(_watched, layers))


def _watched(layer: nn.Module) -> bool:
    own = layer.__dict__  # faster than attributes
    return bool(
        "forward" in own
        or own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
    )


def _run(steps: Sequence[Step], x: Tensor) -> Tensor:
    of_rows = False
    for by_rows, step in steps:
        if by_rows != of_rows:
            x = x.permute(0, 2, 3, 1) if by_rows else x.permute(0, 3, 1, 2)
            of_rows = by_rows
        x = step(x)
    return x.permute(0, 3, 1, 2) if of_rows else x


def _steps(layers: list[nn.Module], found: Found) -> Iterable[Step]:
    while layers:
        if mlp_of(layers[:3]):
            yield True, _mlp(layers[0], layers[2], found)
            layers = layers[3:]
        else:
            layer, *layers = layers
            step = _operator(layer, found)
            if step is None:
                yield False, _others(layer, layers, found)
                return
            yield type(layer) in BY_POSITION, step


def _others(layer: nn.Module, layers: list[nn.Module], found: Found) -> Callable[[Tensor], Tensor]:
    """Call ``layer`` under autocast, then ``layers`` as steps; all of them if it changes dtype."""
    steps = list(_steps(layers, found))

    def step(x: Tensor) -> Tensor:
        torch.set_autocast_enabled("cuda", True)
        try:
            out = layer(x)
            if out.dtype != x.dtype:
                for each in layers:
                    out = each(out)
                return out
        finally:
            torch.set_autocast_enabled("cuda", False)
        return _run(steps, out)

    return step


def _steps_in_full(layers: list[Any], *, products: bool) -> Iterable[Step]:
    for layer in layers:
        kind = type(layer)
        step: Callable[[Tensor], Tensor] | None = None
        of_rows = kind is LayerNorm2d or (products and kind in BY_POSITION)
        if _plain_parameters(layer):
            if kind is PointwiseConv2d and not products:
                step = partial(F.conv2d, weight=layer.weight, bias=layer.bias)
            elif of_rows or kind is DepthwiseConv2d:
                step = _operator(layer, lambda parameter: parameter)
        if step is None:
            step = layer.by_rows if of_rows and kind in BY_ROWS else layer
        yield of_rows, step


def _plain_parameters(layer: nn.Module) -> bool:
    """Return whether a layer of this project has its parameters, as plain tensors."""
    return all(
        type(layer._parameters.get(name, layer)) in PLAIN_TYPES
        for name in PARAMETERS.get(type(layer), ())
    )


def _mlp(first: Any, second: Any, found: Found) -> Callable[[Tensor], Tensor]:
    weight1, bias1 = found(first.weight).flatten(1), found(first.bias)
    weight2, bias2 = found(second.weight).flatten(1).t(), found(second.bias)
    if bias1 is None:
        bias1 = weight1.new_zeros(weight1.shape[0])
    if bias2 is None:
        bias2 = weight2.new_zeros(weight2.shape[1])

    def step(rows: Tensor) -> Tensor:
        hidden = operators.linear_gelu(rows.reshape(-1, weight1.shape[1]), weight1, bias1)
        return torch.addmm(bias2, hidden, weight2).view(*rows.shape[:3], -1)

    return step


def _operator(layer: Any, found: Found) -> Callable[[Tensor], Tensor] | None:
    """Return what ``layer`` computes, or None if it is a layer that must be called."""
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
    if type(layer) is GELU:
        return lambda rows: F.gelu(rows, approximate=layer.approximate)
    if type(layer) is nn.ReLU:
        return torch.relu
    return None


def _depthwise(layer: DepthwiseConv2d, found: Found) -> Callable[[Tensor], Tensor]:
    weight, bias = found(layer.weight), found(layer.bias)
    options: Any = (layer.stride, layer.padding, layer.dilation, layer.groups)
    if not layer.own:
        return lambda x: F.conv2d(x, weight, bias, *options)
    as_they_are = layer.weight, layer.bias  # the kernels read float32
    stride, padding = layer.stride[0], int(layer.padding[0])

    def step(x: Tensor) -> Tensor:
        if x.dtype == torch.float32 and not worthwhile_in_float32(x):
            return F.conv2d(x, weight, bias, *options)
        return operator.convolved(x, *as_they_are, stride, padding)

    return step
