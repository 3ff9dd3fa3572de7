"""What a layer must know of who runs it."""

from __future__ import annotations

import torch


def exporting() -> bool:
    """Return whether the network is exported (torch.export, ONNX, torch.jit.trace).

    What is exported must run without this project's code, and anywhere.
    """
    if torch._C._get_tracing_state():
        return True
    # Under torch 2.11's compiler, is_exporting() is always true.
    return torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling()
