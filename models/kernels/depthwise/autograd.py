"""Gradients of the three depthwise operators, each computed with the same three operators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.kernels.depthwise.operator import operators

Gradients = tuple[Tensor | None, ...]


def _remember(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG001 - torch passes it by name
    x, weight, bias, ctx.stride, ctx.padding = inputs
    ctx.save_for_backward(x, weight)
    ctx.bias = None if bias is None else bias.dtype


def _backward(ctx: Any, gradient: Tensor) -> Gradients:
    x, weight = ctx.saved_tensors
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


def _remember_input(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG001
    gradient, weight, _, _, ctx.stride, ctx.padding = inputs
    ctx.save_for_backward(gradient, weight)


def _input_backward(ctx: Any, by_dx: Tensor) -> Gradients:
    """Differentiate the input gradient, which is linear in the output gradient and the weight."""
    gradient, weight = ctx.saved_tensors
    by_gradient = by_weight = None
    if ctx.needs_input_grad[0]:
        by_gradient = operators.depthwise_conv2d(by_dx, weight, None, ctx.stride, ctx.padding)
    if ctx.needs_input_grad[1]:
        by_weight, _ = operators.depthwise_weight_gradient(
            gradient, by_dx, weight.shape[-1], ctx.stride, ctx.padding
        )
        by_weight = by_weight.to(weight.dtype)
    return by_gradient, by_weight, None, None, None, None


def _remember_weight(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ARG001
    gradient, x, _, ctx.stride, ctx.padding = inputs
    ctx.save_for_backward(gradient, x)


def _weight_backward(ctx: Any, by_weight: Tensor, by_bias: Tensor) -> Gradients:
    """Differentiate the weight gradient, which is linear in the output gradient and the input."""
    gradient, x = ctx.saved_tensors
    by_gradient = by_x = None
    if ctx.needs_input_grad[0]:
        by_gradient = operators.depthwise_conv2d(x, by_weight, by_bias, ctx.stride, ctx.padding)
        by_gradient = by_gradient.to(gradient.dtype)
    if ctx.needs_input_grad[1]:
        by_x = operators.depthwise_input_gradient(
            gradient, by_weight, *x.shape[2:], ctx.stride, ctx.padding
        ).to(x.dtype)
    return by_gradient, by_x, None, None, None


for _name, _gradients, _setup in (
    ("depthwise_conv2d", _backward, _remember),
    ("depthwise_input_gradient", _input_backward, _remember_input),
    ("depthwise_weight_gradient", _weight_backward, _remember_weight),
):
    torch.library.register_autograd(
        f"roadmap::{_name}", _gradients, setup_context=_setup, lib=operators.library
    )
