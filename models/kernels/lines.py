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
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook as has_any_global_hook

from models.kernels import pointwise
from models.kernels.depthwise import DepthwiseConv2d, operator
from models.kernels.depthwise.autograd import LEAST_ELEMENTS
from models.kernels.gelu import GELU
from models.kernels.layer_norm import LayerNorm2d
from models.kernels.layer_scale import LayerScale
from models.kernels.mlp import operators
from models.kernels.mlp.layer import mlp_of
from models.kernels.pointwise import PointwiseConv2d
from models.kernels.tracing import PLAIN_TYPES, plain

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


class Step(NamedTuple):
    """What a layer, or several, compute."""

    #: Whether it takes and returns rows (N, H, W, C), not images (N, C, H, W).
    by_rows: bool
    run: Callable[[Tensor], Tensor]
    #: Returns the sum of what ``run`` returns and a second tensor, computed together.
    add: Callable[[Tensor, Tensor], Tensor] | None = None


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

    def added(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Return ``shortcut`` plus what a call returns."""
        torch.set_autocast_enabled("cuda", False)
        try:
            return _added(self._steps, x, shortcut)
        finally:
            torch.set_autocast_enabled("cuda", True)


class FullLine(Line):
    """The layers of ``branch`` in float32, without autocast; with few images, 1x1 convolutions as
    products."""

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
        return _run(self._steps_for(x), x)

    def added(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Return ``shortcut`` plus what a call returns."""
        return _added(self._steps_for(x), x, shortcut)

    def _steps_for(self, x: Tensor) -> list[Step]:
        positions = x.numel() // x.shape[1]
        few = positions * self._per_position <= pointwise.MOST_IN_FULL
        return self._of_few if few else self._steps


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
    for by_rows, run, _ in steps:
        if by_rows != of_rows:
            x = _turned(x, by_rows)
            of_rows = by_rows
        x = run(x)
    return _turned(x, False) if of_rows else x


def _added(steps: Sequence[Step], x: Tensor, shortcut: Tensor) -> Tensor:
    *before, (by_rows, run, add) = steps
    x = _run(before, x)
    if by_rows:
        x, shortcut = _turned(x, True), _turned(shortcut, True)
    out = shortcut + run(x) if add is None or x.dtype != shortcut.dtype else add(x, shortcut)
    return _turned(out, False) if by_rows else out


def _turned(x: Tensor, by_rows: bool) -> Tensor:
    return x.permute(0, 2, 3, 1) if by_rows else x.permute(0, 3, 1, 2)


def _steps(layers: list[nn.Module], found: Found) -> Iterable[Step]:
    while layers:
        if mlp_of(layers[:3]):
            scaled = len(layers) == 4 and type(layers[3]) is LayerScale
            yield _mlp(layers[0], layers[2], layers[3] if scaled else None, found)
            layers = layers[4 if scaled else 3 :]
        else:
            layer, *layers = layers
            run = _operator(layer, found)
            if run is None:
                yield Step(False, _others(layer, layers, found))
                return
            add = _scaled_sum(found(layer.gamma).flatten()) if type(layer) is LayerScale else None
            yield Step(type(layer) in BY_POSITION, run, add)


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
        run: Callable[[Tensor], Tensor] | None = None
        add = None
        of_rows = kind is LayerNorm2d or (products and kind in BY_POSITION)
        if _plain_parameters(layer):
            if kind is PointwiseConv2d and not products:
                run = partial(F.conv2d, weight=layer.weight, bias=layer.bias)
            elif of_rows or kind is DepthwiseConv2d:
                run = _operator(layer, lambda parameter: parameter)
            if kind is LayerScale:
                add = _scaled_sum(layer.gamma.flatten() if of_rows else layer.gamma)
        if run is None:
            run = layer.by_rows if of_rows and kind in BY_ROWS else layer
        yield Step(of_rows, run, add)


def _scaled_sum(gamma: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, shortcut: torch.addcmul(shortcut, x, gamma)


def _plain_parameters(layer: nn.Module) -> bool:
    """Return whether a layer of this project has its parameters, as plain tensors."""
    return all(
        type(layer._parameters.get(name, layer)) in PLAIN_TYPES
        for name in PARAMETERS.get(type(layer), ())
    )


def _mlp(first: Any, second: Any, scale: Any, found: Found) -> Step:
    weight1, bias1 = found(first.weight).flatten(1), found(first.bias)
    weight2, bias2 = found(second.weight).flatten(1), found(second.bias)
    if bias1 is None:
        bias1 = weight1.new_zeros(weight1.shape[0])
    if bias2 is None:
        bias2 = weight2.new_zeros(weight2.shape[0])
    transposed = weight2.t()
    gamma = None if scale is None else found(scale.gamma).flatten()

    def hidden(rows: Tensor) -> Tensor:
        return operators.linear_gelu(rows.reshape(-1, weight1.shape[1]), weight1, bias1)

    def run(rows: Tensor) -> Tensor:
        out = torch.addmm(bias2, hidden(rows), transposed)
        return (out if gamma is None else out * gamma).view(*rows.shape[:3], -1)

    def add(rows: Tensor, shortcut: Tensor) -> Tensor:
        to = shortcut.reshape(-1, weight2.shape[0])
        if operators.summed(*to.shape):
            out = operators.linear_add(hidden(rows), weight2, bias2, gamma, to)
        else:
            out = torch.addmm(bias2, hidden(rows), transposed)
            out = to + out if gamma is None else torch.addcmul(to, out, gamma)
        return out.view(shortcut.shape)

    return Step(True, run, add)


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
        if x.dtype == torch.float32 and x.numel() < LEAST_ELEMENTS:
            return F.conv2d(x, weight, bias, *options)
        return operator.convolved(x, *as_they_are, stride, padding)

    return step
