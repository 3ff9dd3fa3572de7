"""``depthwise_conv2d``: one filter a channel, as an operator of ``torch.library``.

``torch.compile``, autograd and DDP see an ordinary operator. On CUDA in float32, bfloat16 and
float16 it runs the kernels of ``compiled``, which add in float32; everywhere else PyTorch's own
convolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.depthwise import compiled

#: Threads that fill the largest GPUs; sums of the weight gradient are split over as many.
ENOUGH_THREADS = 1 << 16


@torch.library.custom_op("roadmap::depthwise_conv2d", mutates_args=())
def depthwise_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    """``x`` (N, C, H, W) with ``weight`` (C, 1, K, K) and ``bias`` (C) or None, in ``x``'s dtype.

    ``stride`` and ``padding`` are those of both directions. The output is channels_last.
    """
    if _own(x):
        return convolved(_nhwc(x), weight, bias, stride, padding)
    weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
    return _nhwc(F.conv2d(x, weight, bias, stride, padding, groups=x.shape[1]))


@torch.library.custom_op("roadmap::depthwise_input_gradient", mutates_args=())
def depthwise_input_gradient(
    gradient: Tensor, weight: Tensor, height: int, width: int, stride: int, padding: int
) -> Tensor:
    """The gradient by an input of ``height`` x ``width``, in the dtype of ``gradient``."""
    if _own(gradient):
        return input_gradient(_nhwc(gradient), weight, height, width, stride, padding)
    batch, channels = gradient.shape[:2]
    shape, weight = (batch, channels, height, width), weight.to(gradient.dtype)
    return _nhwc(
        torch.nn.grad.conv2d_input(shape, weight, gradient, stride, padding, groups=channels)
    )


@torch.library.custom_op("roadmap::depthwise_weight_gradient", mutates_args=())
def depthwise_weight_gradient(
    gradient: Tensor, x: Tensor, kernel_size: int, stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    """The gradients by weight (C, 1, K, K) and bias (C); in float32, or float64 of float64."""
    if _own(x):
        return weight_gradient(_nhwc(gradient), _nhwc(x), kernel_size, stride, padding)
    wide = torch.promote_types(x.dtype, torch.float32)
    gradient, x, channels = gradient.to(wide), x.to(wide), x.shape[1]
    shape = (channels, 1, kernel_size, kernel_size)
    weight = torch.nn.grad.conv2d_weight(x, shape, gradient, stride, padding, groups=channels)
    return weight, gradient.sum((0, 2, 3))


# The kernels: tensors are channels_last, of a dtype in ``compiled.TYPES``.


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    batch, channels, height, width = x.shape
    size = weight.shape[-1]
    out = [_outputs(side, size, stride, padding) for side in (height, width)]
    y = _empty((batch, channels, *out), x)
    _convolve(x, _taps(weight, bias), y, size, stride, padding)
    return y


def input_gradient(
    gradient: Tensor, weight: Tensor, height: int, width: int, stride: int, padding: int
) -> Tensor:
    batch, channels, out_height, out_width = gradient.shape
    size = weight.shape[-1]
    dx = _empty((batch, channels, height, width), gradient)
    if stride == 1:
        taps = _taps(weight.flip(2, 3), None)
        _convolve(gradient, taps, dx, size, 1, size - 1 - padding)
        return dx
    kind = compiled.variant(size, stride, channels, width, gradient.dtype)
    sizes = (batch, height, width, out_height, out_width, padding)
    threads = batch * height * width * channels // kind.V
    compiled.launch("input_gradient", kind, threads, (gradient, _taps(weight, None), dx, *sizes))
    return dx


def weight_gradient(
    gradient: Tensor, x: Tensor, kernel_size: int, stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    batch, channels, height, width = x.shape
    out_height, out_width = gradient.shape[2:]
    kind = compiled.variant(kernel_size, stride, channels, out_width, x.dtype)
    a_split = -(-kernel_size // kind.ROWS) * channels // kind.V  # threads
    strips = batch * out_height * -(-out_width // kind.TW)
    splits = max(1, min(strips, ENOUGH_THREADS // a_split))
    partial = x.new_empty((splits, kernel_size**2 + 1, channels), dtype=torch.float32)
    sizes = (batch, height, width, out_height, out_width, padding, splits)
    compiled.launch("weight_gradient", kind, splits * a_split, (x, gradient, partial, *sizes))
    total = partial.sum(0)
    return total[:-1].t().reshape(channels, 1, kernel_size, kernel_size).contiguous(), total[-1]


def _convolve(x: Tensor, taps: Tensor, y: Tensor, size: int, stride: int, padding: int) -> None:
    batch, channels, height, width = x.shape
    out_height, out_width = y.shape[2:]
    kind = compiled.variant(size, stride, channels, out_width, x.dtype)
    tiles = batch * -(-out_height // kind.TH) * -(-out_width // kind.TW)
    sizes = (batch, height, width, out_height, out_width, padding)
    compiled.launch("convolve", kind, tiles * channels // kind.V, (x, taps, y, *sizes))


def _taps(weight: Tensor, bias: Tensor | None) -> Tensor:
    """(K * K + 1, C) in float32, the bias last: neighbouring channels beside each other."""
    channels = weight.shape[0]
    taps = weight.new_zeros((weight[0].numel() + 1, channels), dtype=torch.float32)
    taps[:-1] = weight.reshape(channels, -1).t()
    if bias is not None:
        taps[-1] = bias
    return taps


def _outputs(side: int, size: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - size) // stride + 1


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _nhwc(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _own(x: Tensor) -> bool:
    return x.is_cuda and x.dtype in compiled.TYPES


# What torch.compile and autograd want to know.


@depthwise_conv2d.register_fake
def _(x, weight, _bias, stride, padding):
    out = [_outputs(side, weight.shape[-1], stride, padding) for side in x.shape[2:]]
    return _empty((*x.shape[:2], *out), x)


@depthwise_input_gradient.register_fake
def _(gradient, _weight, height, width, _stride, _padding):
    return _empty((*gradient.shape[:2], height, width), gradient)


@depthwise_weight_gradient.register_fake
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
    by_x = by_weight = by_bias = None
    if ctx.needs_input_grad[0]:
        by_x = depthwise_input_gradient(gradient, weight, *x.shape[2:], ctx.stride, ctx.padding)
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        by_weight, by_bias = depthwise_weight_gradient(
            gradient, x, weight.shape[-1], ctx.stride, ctx.padding
        )
        by_weight = by_weight.to(weight.dtype)
        by_bias = None if ctx.bias is None else by_bias.to(ctx.bias)
    return by_x, by_weight, by_bias, None, None


depthwise_conv2d.register_autograd(_backward, setup_context=_remember)
