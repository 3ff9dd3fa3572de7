"""``depthwise_conv2d`` and its derivatives, each computed with the same three operators.

An operator is a Python function here, and torch's dispatcher calls Python functions slowly. So
these functions skip it where nothing else would see the call (``plain``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from models.kernels.depthwise import operator
from models.kernels.library import operators
from models.kernels.tracing import graphs_recorded, plain, recorded, traced

Gradients = tuple[Tensor | None, ...]
#: Elements of the input from which our kernels save more of the GPU's time than launching them
#: costs: where autograd records them or torch.compile launches them, and in float32, where PyTorch
#: launches its kernel in half the time (results/measured/gpu.csv). Otherwise, ours are launched as
#: quickly.
LEAST_ELEMENTS = 1 << 23


def depthwise_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    """Convolve ``x`` (N, C, H, W) with ``weight`` (C, 1, K, K) and ``bias`` (C,) or None.

    ``stride`` and ``padding`` apply to both directions. The output is channels_last and has the
    dtype of ``x``. Raises ``RuntimeError`` if shapes or devices do not match.
    """
    if torch.compiler.is_compiling() or not plain(x, weight, bias):
        return operators.depthwise_conv2d(x, weight, bias, stride, padding)
    return _convolution(x, weight, bias, stride, padding)


def worthwhile(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Return whether our kernels are faster for ``x``, whose size counts unless a CUDA graph, once
    recorded, launches them."""
    if x.numel() >= LEAST_ELEMENTS:
        return True
    if traced():
        return graphs_recorded()
    if recorded(x, weight, bias):
        return torch.cuda.is_current_stream_capturing()
    in_full = x.dtype == torch.float32 and not torch.is_autocast_enabled("cuda")
    return not in_full or torch.cuda.is_current_stream_capturing()


def _run(
    name: str, function: Callable[..., Any], tensors: tuple[Tensor | None, ...], *sizes: int
) -> Any:
    """Run the operator ``name``, which is ``function``, without recording its gradient."""
    if plain(*tensors):
        return function(*tensors, *sizes)
    with torch._C._AutoDispatchBelowAutograd():
        return getattr(operators, name)(*tensors, *sizes)


# The operators, with gradients where they are wanted.


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    if x.is_cuda and traced() and not worthwhile(x, weight, bias):
        weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        return F.conv2d(x, weight, bias, stride, padding, groups=x.shape[1])
    run = Convolution.apply if recorded(x, weight, bias) else Convolution.run
    return run(x, weight, bias, stride, padding)


def _input_gradient(
    gradient: Tensor, weight: Tensor, height: int, width: int, stride: int, padding: int
) -> Tensor:
    run = InputGradient.apply if recorded(gradient, weight) else InputGradient.run
    return run(gradient, weight, height, width, stride, padding)


def _weight_gradient(
    gradient: Tensor, x: Tensor, kernel_size: int, stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    run = WeightGradient.apply if recorded(gradient, x) else WeightGradient.run
    return run(gradient, x, kernel_size, stride, padding)


class Convolution(Function):
    @staticmethod
    def run(x: Tensor, weight: Tensor, bias: Tensor | None, *sizes: int) -> Tensor:
        return _run("depthwise_conv2d", operator.convolved, (x, weight, bias), *sizes)

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        ctx.bias = None if bias is None else bias.dtype
        return Convolution.run(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Gradients:
        x, weight = ctx.saved_tensors
        by_x = by_weight = by_bias = None
        if ctx.needs_input_grad[0]:
            height, width = x.shape[2:]
            by_x = _input_gradient(gradient, weight, height, width, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            by_weight, by_bias = _weight_gradient(
                gradient, x, weight.shape[-1], ctx.stride, ctx.padding
            )
            by_weight = by_weight.to(weight.dtype)
            by_bias = None if ctx.bias is None else by_bias.to(ctx.bias)
        return by_x, by_weight, by_bias, None, None


class InputGradient(Function):
    """The gradient of the input, which is linear in the output's gradient and the weight."""

    @staticmethod
    def run(gradient: Tensor, weight: Tensor, *sizes: int) -> Tensor:
        arguments = (gradient, weight)
        return _run("depthwise_input_gradient", operator.input_gradient, arguments, *sizes)

    @staticmethod
    def forward(
        ctx: Any,
        gradient: Tensor,
        weight: Tensor,
        height: int,
        width: int,
        stride: int,
        padding: int,
    ) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.stride, ctx.padding = stride, padding
        return InputGradient.run(gradient, weight, height, width, stride, padding)

    @staticmethod
    def backward(ctx: Any, by_dx: Tensor) -> Gradients:
        gradient, weight = ctx.saved_tensors
        by_gradient = by_weight = None
        if ctx.needs_input_grad[0]:
            by_gradient = _convolution(by_dx, weight, None, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            by_weight, _ = _weight_gradient(
                gradient, by_dx, weight.shape[-1], ctx.stride, ctx.padding
            )
            by_weight = by_weight.to(weight.dtype)
        return by_gradient, by_weight, None, None, None, None


class WeightGradient(Function):
    """The gradients of weight and bias, which are linear in the output's gradient and the input."""

    @staticmethod
    def run(gradient: Tensor, x: Tensor, *sizes: int) -> tuple[Tensor, Tensor]:
        arguments = (gradient, x)
        return _run("depthwise_weight_gradient", operator.weight_gradient, arguments, *sizes)

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, x: Tensor, kernel_size: int, stride: int, padding: int
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(gradient, x)
        ctx.stride, ctx.padding = stride, padding
        return WeightGradient.run(gradient, x, kernel_size, stride, padding)

    @staticmethod
    def backward(ctx: Any, by_weight: Tensor, by_bias: Tensor) -> Gradients:
        gradient, x = ctx.saved_tensors
        by_gradient = by_x = None
        if ctx.needs_input_grad[0]:
            by_gradient = _convolution(x, by_weight, by_bias, ctx.stride, ctx.padding)
            by_gradient = by_gradient.to(gradient.dtype)
        if ctx.needs_input_grad[1]:
            height, width = x.shape[2:]
            by_x = _input_gradient(gradient, by_weight, height, width, ctx.stride, ctx.padding)
            by_x = by_x.to(x.dtype)
        return by_gradient, by_x, None, None, None


for _name, _function in (
    ("depthwise_conv2d", _convolution),
    ("depthwise_input_gradient", _input_gradient),
    ("depthwise_weight_gradient", _weight_gradient),
):
    operator.library.impl(_name, _function, "Autograd")
