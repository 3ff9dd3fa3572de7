"""1x1 convolution as a matrix product where that is faster."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.casts import found
from models.kernels.library import fragment
from models.kernels.tracing import exporting, graphs_recorded

HALF_TYPES = (torch.bfloat16, torch.float16)
#: Multiply-adds up to which a product is faster on CUDA in float32: PyTorch's convolutions use
#: TensorFloat-32 by default, its products do not, but are launched in half the time.
MOST_IN_FULL = 1 << 30
#: Channels from which products are faster on CPUs (results/measured/pointwise.csv).
WIDE = 384


class PointwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with kernels of 1x1 at stride 1; same parameters, same outputs up to rounding.

    Takes (N, C, H, W). In channels_last, it is a product of the positions' channels with the weight
    where PyTorch computes that faster: in half precision on CUDA, and for few images in float32 in
    inference; on CPUs with many channels, and for one image in half precision in compiled networks.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _convolved(x, self.weight, self.bias)

    @torch.jit.unused
    def by_rows(self, rows: Tensor) -> Tensor:
        """Convolve a tensor (N, H, W, C)."""
        bias = None if self.bias is None else found(self.bias)
        return F.linear(rows, found(self.weight).flatten(1), bias)


@torch.fx.wrap
def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # TorchScript omits code only behind this exact condition.
    if not torch.jit.is_scripting():
        # An export, whose number of images is symbolic, asks nothing else.
        run = None if exporting() else _faster_by_rows(x, weight)
        if run is not None:
            rows = x.permute(0, 2, 3, 1)
            if rows.is_contiguous():
                return run(rows, weight, bias).permute(0, 3, 1, 2)
    return F.conv2d(x, weight, bias)


def _faster_by_rows(x: Tensor, weight: Tensor) -> Callable[..., Tensor] | None:
    """Return what convolves rows (N, H, W, C) faster than PyTorch convolves ``x``, or None."""
    if _faster_as_product(x, weight):
        return _product
    return torch.ops.roadmap.pointwise_by_rows if _may_be_few(x) else None  # type: ignore[no-any-return]


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(rows, weight.flatten(1), bias)


_library = fragment("pointwise")
_library.define("pointwise_by_rows(Tensor rows, Tensor weight, Tensor? bias) -> Tensor")


@torch.library.impl(_library, "pointwise_by_rows", "CompositeImplicitAutograd")
def _by_rows(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve ``rows`` (N, H, W, C) as what is faster in float32, once torch.compile knows whether
    it records a CUDA graph, for which launches do not count."""
    few = rows.numel() // rows.shape[3] * weight.numel() <= MOST_IN_FULL
    if few and not graphs_recorded():
        return _product(rows, weight, bias)
    return F.conv2d(rows.permute(0, 3, 1, 2), weight, bias).permute(0, 2, 3, 1)


def _may_be_few(x: Tensor) -> bool:
    """Return whether torch.compile traces inference in float32 on CUDA. In eager mode, lines
    decide (``models.kernels.lines``)."""
    return torch.compiler.is_compiling() and not torch.is_grad_enabled() and in_full_on_cuda(x)


def _faster_as_product(x: Tensor, weight: Tensor) -> bool:
    if x.is_cpu:
        return min(weight.shape[:2]) >= WIDE or _of_one_compiled(x)
    return in_half_on_cuda(x)


def _of_one_compiled(x: Tensor) -> bool:
    if not torch.compiler.is_compiling() or len(x) > 1:
        return False
    return computed_in(x, "cpu") in HALF_TYPES


def in_half_on_cuda(x: Tensor) -> bool:
    """Return whether a product of ``x`` is computed on CUDA, in half precision."""
    return x.is_cuda and computed_in(x, "cuda") in HALF_TYPES


def computed_in(x: Tensor, device: str) -> torch.dtype:
    """Return the dtype in which products of ``x``, on a ``device`` of that type, are computed."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def in_full_on_cuda(x: Tensor) -> bool:
    """Return whether ``x`` is computed on CUDA in float32."""
    return x.is_cuda and x.dtype == torch.float32 and not torch.is_autocast_enabled("cuda")
