"""One value of a network's output as the sum, or the formula, that it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.spec import Activation, Conv, LayerScale, MaxPool, Norm
from roadmap.drawing.words import ACTIVATIONS
from roadmap.views.picture.tree import NetworkPart

if TYPE_CHECKING:
    from torch import Tensor

    from roadmap.views.picture.networks import Outputs, Trained

#: Most input channels that are written out.
MOST_WINDOWS, MOST_PRODUCTS = 3, 12
Grid = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Window:
    """One input channel's share: ``inputs`` × ``weights``, summed. None is padding, which is 0."""

    channel: int
    inputs: Grid
    weights: Grid
    sum: float


@dataclass(frozen=True)
class Explanation:
    """``value``, the network's own output, and what it is made of.

    A convolution has ``windows``, largest share first, ``others`` (how many and their sum) and
    ``bias`` (None: it has none). Max pooling has one window without weights. The rest have a
    ``formula``, whose numbers are rounded, and ``result``, which is computed from unrounded ones.
    """

    value: float
    result: float
    windows: tuple[Window, ...] = ()
    others: tuple[int, float] = (0, 0.0)
    bias: float | None = None
    formula: str = ""


def explain(
    trained: Trained, outputs: Outputs, part: NetworkPart, channel: int, position: tuple[int, int]
) -> Explanation:
    """Return how ``channel`` of ``part`` gets its value at ``position`` (row, column)."""
    at = (channel, *position)
    value = float(outputs.maps[part.path][at])
    taken = outputs.maps[part.source]
    if part.block is not None:
        return _block(part, outputs, at, value)
    module: Any = trained.network.get_submodule(part.path)
    match part.layer:
        case Conv():
            return _convolution(part.layer, module, taken, at, value)
        case MaxPool():
            inputs = _window(taken[channel], part.layer, position)
            most = max(x for row in inputs for x in row if x is not None)
            return Explanation(value, most, (Window(channel, inputs, (), most),))
        case Activation():
            return _activation(part.layer.kind, float(taken[at]), value)
        case LayerScale():
            x, factor = float(taken[at]), float(module.gamma[channel])
            return Explanation(value, x * factor, formula=f"{figure(x)} × {figure(factor)}")
        case Norm():
            return _norm(part.layer.kind, module, taken, at, value)
    raise TypeError(f"{part.path} is neither a layer nor a block")


def figure(value: float) -> str:
    """Return a number as the page writes it: three decimals, more for small ones."""
    text = f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"
    return text.replace("-", "−")


def _convolution(
    conv: Conv, module: Any, taken: Tensor, at: tuple[int, int, int], value: float
) -> Explanation:
    channel, row, column = at
    weights = module.weight[channel]  # (inputs of its group, k, k)
    first = channel // (conv.out_channels // conv.groups) * weights.shape[0]
    windows = []
    for index, weight in enumerate(weights.tolist()):
        inputs = _window(taken[first + index], conv, (row, column))
        share = math.fsum(
            x * w
            for xs, ws in zip(inputs, weight, strict=True)
            for x, w in zip(xs, ws, strict=True)
            if x is not None
        )
        windows.append(Window(first + index, inputs, tuple(map(tuple, weight)), share))
    windows.sort(key=lambda window: -abs(window.sum))
    shown = MOST_PRODUCTS if conv.kernel_size == 1 else MOST_WINDOWS
    rest = windows[shown:]
    bias = float(module.bias[channel]) if module.bias is not None else None
    result = math.fsum([*(window.sum for window in windows), bias or 0.0])
    others = len(rest), math.fsum(window.sum for window in rest)
    return Explanation(value, result, tuple(windows[:shown]), others, bias)


def _window(taken: Tensor, layer: Conv | MaxPool, position: tuple[int, int]) -> Grid:
    """Return the inputs (k × k) of an output position; None is padding."""
    height, width = taken.shape
    top, left = (place * layer.stride - layer.padding for place in position)
    return tuple(
        tuple(
            float(taken[y, x]) if 0 <= y < height and 0 <= x < width else None
            for x in range(left, left + layer.kernel_size)
        )
        for y in range(top, top + layer.kernel_size)
    )


def _block(
    part: NetworkPart, outputs: Outputs, at: tuple[int, int, int], value: float
) -> Explanation:
    block = part.block
    assert block is not None
    branch = [path for path in part.inside if ".branch." in path][-1]
    shortcut = ([path for path in part.inside if ".shortcut." in path] or [part.source])[-1]
    parts = float(outputs.maps[branch][at]), float(outputs.maps[shortcut][at])
    formula = f"branch {figure(parts[0])} + shortcut {figure(parts[1])}"
    if block.activation is None:
        return Explanation(value, sum(parts), formula=formula)
    formula = f"{ACTIVATIONS[block.activation]}({formula})"
    return Explanation(value, _active(block.activation, sum(parts)), formula=formula)


def _activation(kind: str, x: float, value: float) -> Explanation:
    formula = f"{ACTIVATIONS[kind]}({figure(x)})"
    if kind == "gelu":
        formula = f"{figure(x)} × Φ({figure(x)}) = {figure(x)} × {figure(_phi(x))}"
    return Explanation(value, _active(kind, x), formula=formula)


def _active(kind: str, x: float) -> float:
    return x * _phi(x) if kind == "gelu" else max(x, 0.0)


def _phi(x: float) -> float:
    """Return the standard normal distribution function."""
    return (1 + math.erf(x / math.sqrt(2))) / 2


def _norm(
    kind: str, module: Any, taken: Tensor, at: tuple[int, int, int], value: float
) -> Explanation:
    channel, row, column = at
    x = float(taken[at])
    weight, bias = (float(p.flatten()[channel]) for p in (module.weight, module.bias))
    if kind == "response":
        norms = taken.flatten(1).norm(dim=1)
        ratio = float(norms[channel] / (norms.mean() + module.eps))
        formula = f"{figure(x)} + {figure(weight)} × {figure(x)} × {figure(ratio)} + {figure(bias)}"
        return Explanation(value, x + weight * x * ratio + bias, formula=formula)
    if kind == "batch":
        mean, variance = float(module.running_mean[channel]), float(module.running_var[channel])
    else:  # over the channels of this position
        values = taken[:, row, column].double()
        mean, variance = float(values.mean()), float(values.var(correction=0))
    deviation = math.sqrt(variance + module.eps)
    formula = (
        f"({figure(x)} − mean {figure(mean)}) ÷ deviation {figure(deviation)} "
        f"× {figure(weight)} + {figure(bias)}"
    )
    return Explanation(value, (x - mean) / deviation * weight + bias, formula=formula)
