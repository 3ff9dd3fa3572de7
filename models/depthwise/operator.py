"""``depthwise_conv2d``: one filter a channel, as an operator of ``torch.library``.

``torch.compile``, autograd and DDP see an ordinary operator. On CUDA in float32, bfloat16 and
float16 it runs the kernels of ``plans``, which add in float32; everywhere else PyTorch's own
convolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.depthwise import compiled, plans

# Not ``custom_op``: its checks take longer than the smaller convolutions.
_library = torch.library.Library("roadmap", "DEF")
_library.define(
    "depthwise_conv2d(Tensor x, Tensor weight, Tensor? bias, int stride, int padding) -> Tensor"
)
_library.define(
    "depthwise_input_gradient(Tensor gradient, Tensor weight, int height, int width,"
    " int stride, int padding) -> Tensor"
)
_library.define(
    "depthwise_weight_gradient(Tensor gradient, Tensor x, int kernel_size,"
    " int stride, int padding) -> (Tensor, Tensor)"
)


def depthwise_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    """``x`` (N, C, H, W) with ``weight`` (C, 1, K, K) and ``bias`` (C) or None, in ``x``'s dtype.

    ``stride`` and ``padding`` are those of both directions. The output is channels_last.
    """
    return torch.ops.roadmap.depthwise_conv2d(x, weight, bias, stride, padding)


@torch.library.impl(_library, "depthwise_conv2d", "CompositeExplicitAutograd")
def _convolved(x, weight, bias, stride, padding):
    if _own(x, weight.shape[-1], padding):
        return plans.convolved(_nhwc(x), weight, bias, stride, padding)
    weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
    return _nhwc(F.conv2d(x, weight, bias, stride, padding, groups=x.shape[1]))


@torch.library.impl(_library, "depthwise_input_gradient", "CompositeExplicitAutograd")
def _input_gradient(gradient, weight, height, width, stride, padding):
    """The gradient by an input of ``height`` x ``width``, in the dtype of ``gradient``."""
    if _own(gradient, weight.shape[-1], padding):
        return plans.input_gradient(_nhwc(gradient), weight, height, width, stride, padding)
    batch, channels = gradient.shape[:2]
    shape, weight = (batch, channels, height, width), weight.to(gradient.dtype)
    return _nhwc(
        torch.nn.grad.conv2d_input(shape, weight, gradient, stride, padding, groups=channels)
    )


@torch.library.impl(_library, "depthwise_weight_gradient", "CompositeExplicitAutograd")
def _weight_gradient(gradient, x, kernel_size, stride, padding):
    """The gradients by weight (C, 1, K, K) and bias (C); in float32, or float64 of float64."""
    if _own(x, kernel_size, padding):
        return plans.weight_gradient(_nhwc(gradient), _nhwc(x), kernel_size, stride, padding)
    wide = torch.promote_types(x.dtype, torch.float32)
    gradient, x, channels = gradient.to(wide), x.to(wide), x.shape[1]
    shape = (channels, 1, kernel_size, kernel_size)
    weight = torch.nn.grad.conv2d_weight(x, shape, gradient, stride, padding, groups=channels)
    return weight, gradient.sum((0, 2, 3))


def _nhwc(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _own(x: Tensor, kernel_size: int, padding: int) -> bool:
    fits = x.is_cuda and x.dtype in compiled.TYPES and padding < kernel_size
    return fits and not compiled.missing(x.device)


# What torch.compile and autograd want to know.


@torch.library.register_fake("roadmap::depthwise_conv2d")
def _(x, weight, _bias, stride, padding):
    out = [plans.outputs(side, weight.shape[-1], stride, padding) for side in x.shape[2:]]
    return plans.empty((*x.shape[:2], *out), x)


@torch.library.register_fake("roadmap::depthwise_input_gradient")
def _(gradient, _weight, height, width, _stride, _padding):
    return plans.empty((*gradient.shape[:2], height, width), gradient)


@torch.library.register_fake("roadmap::depthwise_weight_gradient")
def _(_gradient, x, kernel_size, _stride, _padding):
    wide = torch.promote_types(x.dtype, torch.float32)
    shape = (x.shape[1], 1, kernel_size, kernel_size)
    return x.new_empty(shape, dtype=wide), x.new_empty(x.shape[1], dtype=wide)


def _remember(ctx, inputs, output):  # noqa: ARG001 - torch passes it by name
    x, weight, bias, ctx.stride, ctx.padding = inputs
    ctx.save_for_backward(x, weight)
    ctx.bias = None if bias is None else bias.dtype


def _backward(ctx, gradient):
    x, weight = ctx.saved_tensors
    operators = torch.ops.roadmap
    by_x = by_weight = by_bias = None
    if ctx.needs_input_grad[0]:
        by_x = operators.depthwise_input_gradient(
            gradient, weight, *x.shape[2:], ctx.stride, ctx.padding
        )
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        by_weight, by_bias = operators.depthwise_weight_gradient(
            gradient, x, weight.shape[-1], ctx.stride, ctx.padding
        )
        by_weight = by_weight.to(weight.dtype)
        by_bias = None if ctx.bias is None else by_bias.to(ctx.bias)
    return by_x, by_weight, by_bias, None, None


torch.library.register_autograd("roadmap::depthwise_conv2d", _backward, setup_context=_remember)
