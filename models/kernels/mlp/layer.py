"""Which layers run on the kernels, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.kernels.casts import found
from models.kernels.mlp import operators
from models.kernels.mlp.autograd import mlp
from models.kernels.pointwise import PointwiseConv2d

#: Hidden elements from which the kernels save more of the GPU's time than their launch from Python
#: costs: in general, and where gradients are recorded without torch.compile.
LEAST_ELEMENTS, LEAST_RECORDED = 1 << 25, 1 << 26


def fits(layers: Sequence[nn.Module], rows: Tensor) -> bool:
    """Return whether ``mlp`` applies ``layers`` to ``rows`` (N, H, W, C), and faster."""
    if len(layers) != 3:
        return False
    first, activation, second = layers
    return (
        isinstance(first, PointwiseConv2d)
        and isinstance(activation, nn.GELU)
        and isinstance(second, PointwiseConv2d)
        and activation.approximate == "none"
        and rows.numel() // first.in_channels * first.out_channels >= _least()
        and operators.supported(rows.device, (first.in_channels, first.out_channels))
    )


def _least() -> int:
    recorded = torch.is_grad_enabled() and not torch.compiler.is_compiling()
    return LEAST_RECORDED if recorded else LEAST_ELEMENTS


def applied(layers: Sequence[Any], rows: Tensor) -> Tensor:
    """Apply layers that fit to ``rows`` (N, H, W, C), in half precision."""
    first, _, second = layers
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else rows.dtype
    out = mlp(
        rows.flatten(0, 2).to(dtype),
        found(first.weight).flatten(1).to(dtype),
        rows.new_zeros(first.out_channels, dtype=dtype)
        if first.bias is None
        else found(first.bias).to(dtype),
        found(second.weight).flatten(1).to(dtype),
        None if second.bias is None else found(second.bias).to(dtype),
    )
    return out.unflatten(0, rows.shape[:3])
