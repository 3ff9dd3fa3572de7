"""Which layers run on the kernels, and when.

In compiled training in bfloat16, the factors of a layer norm before and of a layer scale after
become part of the weights: W2' = diag(gamma) W2. Activations are then neither scaled nor read once
more for the factors' gradients, which follow from those of the small weights. In float16, the tiny
products would vanish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.kernels import casts
from models.kernels.casts import found
from models.kernels.gelu import GELU
from models.kernels.layer_norm import LayerNorm2d, normalized
from models.kernels.layer_scale import LayerScale
from models.kernels.mlp import operators
from models.kernels.mlp.autograd import mlp, mlp_added
from models.kernels.pointwise import PointwiseConv2d, computed_in

#: Hidden elements from which the kernels save more of the GPU's time than autograd functions in
#: Python cost, without torch.compile and with it (in networks large enough that their parameters
#: are not cast together). Without gradients, they take no longer to launch.
LEAST_RECORDED, LEAST_COMPILED = 1 << 26, 1 << 25


def leading(layers: Sequence[Any], rows: Tensor) -> int:
    """Return how many of ``layers``, from the first, ``applied`` applies to ``rows`` (N, H, W, C)
    faster than one by one: 0 if none."""
    if fits(layers[:3], rows):
        count = 3
    elif _folds(rows) and _folded(layers[0]) and fits(layers[1:4], rows):
        count = 4
    else:
        return 0
    scaled = len(layers) > count and type(layers[count]) is LayerScale
    return count + 1 if scaled and _folds(rows) else count


def sums(layers: Sequence[Any], rows: Tensor, shortcut: Tensor) -> bool:
    """Return whether ``added`` applies all of ``layers`` and adds ``shortcut`` faster."""
    scaled = len(layers) == 4 and type(layers[3]) is LayerScale
    return (
        (len(layers) == 3 or scaled)
        and shortcut.dtype == computed_in(rows, "cuda")
        and fits(layers[:3], rows)
        and operators.summed(shortcut.numel() // shortcut.shape[3], layers[2].out_channels)
    )


def _folded(layer: Any) -> bool:
    return type(layer) is LayerNorm2d and layer.weight is not None and layer.bias is not None


def fits(layers: Sequence[Any], rows: Tensor) -> bool:
    """Return whether ``layers`` are two 1x1 convolutions that run faster on the kernels."""
    if not mlp_of(layers):
        return False
    first = layers[0]
    inputs, outputs = first.in_channels, first.out_channels
    large = rows.numel() // inputs * outputs >= _least()
    return large and operators.supported(rows.device, (inputs, outputs))


def mlp_of(layers: Sequence[Any]) -> bool:
    """Return whether ``layers`` are 1x1 convolutions with a GELU (exact) between them."""
    return (
        len(layers) == 3
        and type(layers[0]) is type(layers[2]) is PointwiseConv2d
        and type(layers[1]) is GELU
        and layers[1].approximate == "none"
    )


def _least() -> float:
    if not torch.is_grad_enabled():
        return 0
    if not torch.compiler.is_compiling():
        return LEAST_RECORDED
    return math.inf if casts.traces_together() else LEAST_COMPILED


def _folds(rows: Tensor) -> bool:
    compiled = torch.is_grad_enabled() and torch.compiler.is_compiling()
    return compiled and computed_in(rows, "cuda") == torch.bfloat16


def applied(layers: Sequence[Any], rows: Tensor) -> Tensor:
    """Apply layers that ``leading`` counts to ``rows`` (N, H, W, C), in half precision."""
    norm = layers[0] if type(layers[0]) is LayerNorm2d else None
    first, _, second, *scale = layers[0 if norm is None else 1 :]
    weight1, bias1 = _parameters(first, folded=norm is not None)
    weight2, bias2 = _parameters(second, folded=len(scale) > 0)
    if norm is not None:
        rows = normalized(rows, norm)
        bias1 = bias1 + (weight1 * norm.bias).sum(1)
        weight1 = weight1 * norm.weight
    if scale:
        gamma = scale[0].gamma.flatten()
        weight2, bias2 = weight2 * gamma[:, None], bias2 * gamma
    flat, dtype = rows.reshape(-1, first.in_channels), computed_in(rows, "cuda")
    tensors = (tensor.to(dtype) for tensor in (flat, weight1, bias1, weight2, bias2))
    return mlp(*tensors).view(*rows.shape[:3], -1)


def added(layers: Sequence[Any], rows: Tensor, shortcut: Tensor) -> Tensor:
    """Apply two 1x1 convolutions with a GELU between them, and a layer scale if it follows, to
    ``rows`` (N, H, W, C), in half precision; return the sum with ``shortcut`` (N, H, W, D)."""
    first, _, second, *scale = layers
    flat, to = rows.reshape(-1, first.in_channels), shortcut.reshape(-1, second.out_channels)
    gamma = found(scale[0].gamma).flatten().to(to.dtype) if scale else None
    parameters = (*_parameters(first, folded=False), *_parameters(second, folded=False))
    weight1, bias1, weight2, bias2 = (parameter.to(to.dtype) for parameter in parameters)
    out = mlp_added(flat.to(to.dtype), weight1, bias1, weight2, bias2, gamma, to)
    return out.view(shortcut.shape)


def _parameters(layer: PointwiseConv2d, *, folded: bool) -> tuple[Tensor, Tensor]:
    """Return the weight (outputs, inputs) and the bias; as they are if they will be multiplied."""
    weight, bias = layer.weight, layer.bias
    if bias is None:
        bias = weight.new_zeros(len(weight))
    elif not folded:
        bias = found(bias)
    return (weight if folded else found(weight)).flatten(1), bias
