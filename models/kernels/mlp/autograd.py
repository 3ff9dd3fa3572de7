"""Two linear layers with a GELU between them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from models.kernels import casts
from models.kernels.mlp import operators
from models.kernels.tracing import plain, recorded

Gradients = tuple[Tensor | None, ...]


def mlp(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor | None) -> Tensor:
    """Apply linear layer, GELU (exact) and linear layer to ``x`` (M, C).

    ``weight1`` (H, C), ``bias1`` (H,), ``weight2`` (D, H), ``bias2`` (D,) or None, all of one
    dtype. Keeps GELU and its derivative for the backward pass, not what GELU reads.
    """
    tensors = (x, weight1, bias1, weight2, bias2)
    if recorded(*tensors):
        return Mlp.apply(*tensors)
    return F.linear(_activated(x, weight1, bias1), weight2, bias2)


def mlp_added(
    x: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None,
    shortcut: Tensor,
) -> Tensor:
    """Return ``shortcut`` (M, D) plus ``gamma`` (D,) or 1 times ``mlp``, in inference."""
    hidden = _activated(x, weight1, bias1)
    return _run(_in_inference("linear_add"), hidden, weight2, bias2, gamma, shortcut)


def _activated(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _run(_in_inference("linear_gelu"), x, weight, bias)


def _in_inference(name: str) -> str:
    """Return which form of an operator to run: small compiled networks let torch.compile launch
    PyTorch's operators."""
    small = torch.compiler.is_compiling() and not casts.traces_together()
    return f"{name}_in_graph" if small else name


class Mlp(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor | None
    ) -> Tensor:
        activated, slope = _run("linear_gelu_slope", x, weight1, bias1)
        ctx.save_for_backward(x, weight1, bias1, weight2, bias2, activated, slope)
        return F.linear(activated, weight2, bias2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Gradients:
        *inputs, activated, slope = ctx.saved_tensors
        if torch.is_grad_enabled():  # for second derivatives
            return _plain_gradients(gradient, *inputs)
        x, weight1, bias1, weight2, _ = inputs
        wanted = ctx.needs_input_grad
        found: list[Tensor | None] = [None] * 5
        if any(wanted[:3]):
            hidden, sums = _run("gelu_gradient", gradient, weight2, slope)
            found[0] = hidden @ weight1 if wanted[0] else None
            found[1] = hidden.t() @ x if wanted[1] else None
            found[2] = sums.sum(0).to(bias1.dtype) if wanted[2] else None
        found[3] = gradient.t() @ activated if wanted[3] else None
        found[4] = gradient.sum(0) if wanted[4] else None
        return tuple(found)


def _run(name: str, *tensors: Tensor | None) -> Any:
    """Run the operator ``name``, without torch's dispatcher where nothing else sees the call."""
    direct = not torch.compiler.is_compiling() and plain(*tensors)
    return getattr(operators if direct else torch.ops.roadmap, name)(*tensors)


def _plain_gradients(gradient: Tensor, *inputs: Tensor | None) -> Gradients:
    """Return the gradients of the inputs, which can be differentiated again."""
    out = _plain(*inputs)  # type: ignore[arg-type]
    wanted = [t for t in inputs if t is not None and t.requires_grad]
    found = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True))
    return tuple(next(found) if t is not None and t.requires_grad else None for t in inputs)


def _plain(
    x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor | None
) -> Tensor:
    return F.linear(F.gelu(F.linear(x, weight1, bias1)), weight2, bias2)
