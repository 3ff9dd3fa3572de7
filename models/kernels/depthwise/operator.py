"""Depthwise convolution and its gradients as ``torch.library`` operators.

They work with ``torch.compile``, first and second derivatives, and DDP, but not with ``torch.func``
transforms. On CUDA in float32, bfloat16 and float16 it runs the kernels in ``plans``, which
accumulate in float32; otherwise it runs PyTorch's convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input, conv2d_weight

from models.kernels.depthwise import compiled, plans
from models.kernels.library import fragment

#: Largest stride and kernel size that the kernels are written and tested for.
MOST_STRIDE, MOST_SIZE = 2, 31

library = fragment("depthwise")
library.define(
    "depthwise_conv2d(Tensor x, Tensor weight, Tensor? bias, SymInt stride, SymInt padding)"
    " -> Tensor"
)
library.define(
    "depthwise_input_gradient(Tensor gradient, Tensor weight, SymInt height, SymInt width,"
    " SymInt stride, SymInt padding) -> Tensor"
)
library.define(
    "depthwise_weight_gradient(Tensor gradient, Tensor x, SymInt kernel_size,"
    " SymInt stride, SymInt padding) -> (Tensor, Tensor)"
)


# Each checks its tensors here and in its fake implementation for torch.compile.


@torch.library.impl(library, "depthwise_conv2d", "CompositeExplicitAutograd")
def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    _check(x, weight, stride, padding, bias)
    if _own(x, weight.shape[-1], stride, padding):
        return plans.convolved(_nhwc(x), weight, bias, stride, padding)
    weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
    with _no_autocast(x):
        return _nhwc(F.conv2d(x, weight, bias, stride, padding, groups=x.shape[1]))


@torch.library.impl(library, "depthwise_input_gradient", "CompositeExplicitAutograd")
def input_gradient(
    gradient: Tensor, weight: Tensor, height: int, width: int, stride: int, padding: int
) -> Tensor:
    """Return the gradient of the input (N, C, height, width), in the dtype of ``gradient``."""
    batch, channels, *out = gradient.shape
    _check_outputs(out, (height, width), weight.shape[-1], stride, padding)
    if _own(gradient, weight.shape[-1], stride, padding):
        return plans.input_gradient(_nhwc(gradient), weight, height, width, stride, padding)
    shape, weight = (batch, channels, height, width), weight.to(gradient.dtype)
    with _no_autocast(gradient):
        return _nhwc(conv2d_input(shape, weight, gradient, stride, padding, groups=channels))


@torch.library.impl(library, "depthwise_weight_gradient", "CompositeExplicitAutograd")
def weight_gradient(
    gradient: Tensor, x: Tensor, kernel_size: int, stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    """Return the gradients of weight (C, 1, K, K) and bias (C,), in float32 or float64."""
    _check_outputs(gradient.shape[2:], x.shape[2:], kernel_size, stride, padding)
    if _own(x, kernel_size, stride, padding):
        gradient = gradient.to(x.dtype)
        return plans.weight_gradient(_nhwc(gradient), _nhwc(x), kernel_size, stride, padding)
    wide = torch.promote_types(x.dtype, torch.float32)
    gradient, x, channels = gradient.to(wide), x.to(wide), x.shape[1]
    shape = (channels, 1, kernel_size, kernel_size)
    with _no_autocast(x):
        weight = conv2d_weight(x, shape, gradient, stride, padding, groups=channels)
    return weight, gradient.sum((0, 2, 3))


@torch.library.register_fake("roadmap::depthwise_conv2d", lib=library)
def _(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    _check(x, weight, stride, padding, bias)
    out = [plans.outputs(side, weight.shape[-1], stride, padding) for side in x.shape[2:]]
    return plans.empty((*x.shape[:2], *out), x)


@torch.library.register_fake("roadmap::depthwise_input_gradient", lib=library)
def _(
    gradient: Tensor, _weight: Tensor, height: int, width: int, _stride: int, _padding: int
) -> Tensor:
    return plans.empty((*gradient.shape[:2], height, width), gradient)


@torch.library.register_fake("roadmap::depthwise_weight_gradient", lib=library)
def _(
    _gradient: Tensor, x: Tensor, kernel_size: int, _stride: int, _padding: int
) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(x.dtype, torch.float32)
    shape = (x.shape[1], 1, kernel_size, kernel_size)
    return x.new_empty(shape, dtype=wide), x.new_empty(x.shape[1], dtype=wide)


def _check(x: Tensor, weight: Tensor, stride: int, padding: int, bias: Tensor | None) -> None:
    shapes = (x.shape, weight.shape, None if bias is None else bias.shape)
    _check_shapes(*shapes, stride, padding)
    if x.device != weight.device or (bias is not None and bias.device != x.device):
        raise RuntimeError(f"x is on {x.device}, weight on {weight.device}: put both on one device")


def _check_shapes(
    x: torch.Size, weight: torch.Size, bias: torch.Size | None, stride: int, padding: int
) -> None:
    # Not ``torch._check``, whose lambdas take longer than the checks.
    channels, size = x[1], weight[-1]
    if len(x) != 4 or tuple(weight) != (channels, 1, size, size):
        raise RuntimeError(
            f"x is {tuple(x)} and weight {tuple(weight)}; a depthwise convolution "
            "takes (N, C, H, W) and (C, 1, K, K)"
        )
    if bias is not None and tuple(bias) != (channels,):
        raise RuntimeError(f"bias is {tuple(bias)}; use ({channels},)")
    if stride < 1 or padding < 0:
        raise RuntimeError(
            f"stride is {stride} and padding {padding}; use a stride from 1, a padding from 0"
        )
    if min(x[2:]) + 2 * padding < size:
        raise RuntimeError(
            f"the kernel size is {size}, larger than the input {tuple(x[2:])} with padding "
            f"{padding}; use a larger input"
        )


def _check_outputs(
    outputs: Sequence[int], sides: Sequence[int], size: int, stride: int, padding: int
) -> None:
    fit = [plans.outputs(side, size, stride, padding) for side in sides]
    if list(outputs) != fit:
        raise RuntimeError(
            f"the gradient is {tuple(outputs)}; for an input of {tuple(sides)} use {tuple(fit)}"
        )


def _nhwc(x: Tensor) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)
    # Kernels read two channels at once, so a view must be aligned to two.
    return x if x.data_ptr() % (2 * x.element_size()) == 0 else x.clone()


def _own(x: Tensor, kernel_size: int, stride: int, padding: int) -> bool:
    fits = x.is_cuda and x.dtype in compiled.TYPES and x.numel() > 0
    fits = fits and padding < kernel_size <= MOST_SIZE and stride <= MOST_STRIDE
    return fits and not compiled.missing(x.device)


def _no_autocast(x: Tensor) -> torch.autocast:
    return torch.autocast(x.device.type, enabled=False)
