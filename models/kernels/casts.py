"""Parameters in autocast's dtype, all cast by one kernel.

Under autocast, each parameter is cast by a launch of its own; with up to 64 images, ConvNeXt-T then
takes 6 to 12% longer (results/measured/README.md). Autocast only spares a second cast of the same
parameter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_thread = threading.local()


def found(parameter: Tensor) -> Tensor:
    """Return ``parameter`` in autocast's dtype if it was cast together with others, or itself."""
    if torch.compiler.is_compiling():
        return parameter
    together = getattr(_thread, "together", None)
    if not together or not torch.is_autocast_enabled("cuda"):
        return parameter
    return together.get(id(parameter), parameter)


def useful(x: Tensor) -> bool:
    """Return whether to cast together in a forward pass of ``x``: not if gradients are wanted."""
    return (
        x.is_cuda
        and torch.is_autocast_enabled("cuda")
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
    )


class Parameters:
    """The float32 parameters of some layers, on one device.

    ``found`` does not find a parameter that was added or replaced since then.
    """

    def __init__(self, layers: Iterable[nn.Module]):
        self._all = [
            each
            for layer in layers
            for each in layer.parameters(recurse=False)
            if each.dtype == torch.float32 and each.is_contiguous()
        ]
        # Without their shapes: only tensors of equal strides are copied by one kernel.
        self._values = [each.detach().view(-1) for each in self._all]
        self._sizes = [len(values) for values in self._values]

    @property
    def current(self) -> bool:
        """Whether parameters have the memory that they had: ``to`` and ``data`` replace it."""
        pairs = zip(self._values, self._all, strict=True)
        return all(values.data_ptr() == each.data_ptr() for values, each in pairs)

    def cast(self, dtype: torch.dtype) -> dict[int, Tensor]:
        """Return the parameters in ``dtype``, by ``id``."""
        if not self._all:
            return {}
        out = torch.empty(sum(self._sizes), dtype=dtype, device=self._values[0].device)
        parts = out.split(self._sizes)
        torch._foreach_copy_(parts, self._values)
        pairs = zip(self._all, parts, strict=True)
        return {id(each): part if each.ndim == 1 else part.view(each.shape) for each, part in pairs}


@contextmanager
def cast_together(parameters: Parameters, dtype: torch.dtype) -> Iterator[None]:
    """Let ``found`` find ``parameters`` in ``dtype``, in this thread."""
    outer = getattr(_thread, "together", None)
    _thread.together = parameters.cast(dtype)
    try:
        yield
    finally:
        _thread.together = outer
