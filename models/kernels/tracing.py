"""What a layer must know of who runs it."""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

#: The types of tensors that no subclass or mode has wrapped, and of missing ones.
PLAIN_TYPES = {Tensor, nn.Parameter, type(None)}


def exporting() -> bool:
    """Return whether the network is exported (torch.export, ONNX, torch.jit.trace).

    What is exported must run without this project's code, and anywhere.
    """
    if torch._C._get_tracing_state():
        return True
    # Under torch 2.11's compiler, is_exporting() is always true.
    return torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling()


def traced() -> bool:
    """Return whether a mode sees operators, such as that in which torch.compile traces them."""
    return bool(torch._C._len_torch_dispatch_stack())


def graphs_recorded() -> bool:
    """Return whether what torch.compile traces now becomes a CUDA graph."""
    inductor = sys.modules.get("torch._inductor.config")
    return inductor is not None and bool(inductor.triton.cudagraphs)


def plain(*tensors: Tensor | None) -> bool:
    """Return whether the dispatcher would only call our function: no mode, transform or tracer."""
    return not (
        traced() or torch._C._are_functorch_transforms_active() or torch._C._get_tracing_state()
    ) and all(type(tensor) in PLAIN_TYPES for tensor in tensors)


def recorded(*tensors: Tensor | None) -> bool:
    """Return whether autograd records what is computed from ``tensors``."""
    return torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in tensors
    )
