"""Parameters in autocast's dtype, all cast by one kernel.

Under autocast, each parameter is cast by a launch of its own, and each gradient back. With few
images, that takes a tenth to a fifth of a step (results/measured/README.md); autocast only spares a
second cast of the same parameter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function

from models.kernels.library import fragment
from models.kernels.tracing import recorded

_thread = threading.local()
#: What ``found`` finds while torch.compile traces, which knows no thread's variables.
_traced: dict[int, Tensor] = {}

_library = fragment("casts")
_library.define("cast(Tensor[] tensors, ScalarType dtype) -> Tensor[]")


@torch.library.impl(_library, "cast", "CompositeExplicitAutograd")
def _cast(tensors: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    out = _like(tensors, dtype)
    torch._foreach_copy_(out, tensors)
    return out


@torch.library.register_fake("roadmap::cast", lib=_library)
def _like(tensors: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    # Strides are kept: only tensors of equal strides are copied by one kernel.
    return [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]


def _keep_dtype(
    ctx: Any,
    inputs: tuple[list[Tensor], torch.dtype],
    output: object,  # noqa: ARG001
) -> None:
    ctx.dtype = inputs[0][0].dtype


def _cast_back(ctx: Any, gradients: list[Tensor]) -> tuple[list[Tensor], None]:
    return torch.ops.roadmap.cast(gradients, ctx.dtype), None


torch.library.register_autograd(
    "roadmap::cast", _cast_back, setup_context=_keep_dtype, lib=_library
)


class Cast(Function):
    """The operator in eager mode, where torch's dispatcher takes longer with lists."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.dtype = tensors[0].dtype
        ctx.set_materialize_grads(False)
        return tuple(_cast(list(tensors), dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        present = [gradient for gradient in gradients if gradient is not None]
        back = iter(cast(present, ctx.dtype))
        return None, *(None if gradient is None else next(back) for gradient in gradients)


def cast(tensors: list[Tensor], dtype: torch.dtype) -> Iterable[Tensor]:
    """Return ``tensors``, all of one dtype, in ``dtype``."""
    if not tensors:
        return ()
    if torch.compiler.is_compiling():
        return torch.ops.roadmap.cast(tensors, dtype)
    return Cast.apply(dtype, *tensors) if recorded(*tensors) else _cast(tensors, dtype)


def found(parameter: Tensor) -> Tensor:
    """Return ``parameter`` in autocast's dtype if it was cast together with others, or itself."""
    if torch.compiler.is_dynamo_compiling():
        return _traced.get(id(parameter), parameter) if traces_together() else parameter
    together = getattr(_thread, "together", None)
    if not together or not torch.is_autocast_enabled("cuda"):
        return parameter
    if isinstance(together, Kept) and torch.is_grad_enabled():  # enabled during the pass
        return parameter
    return together.get(id(parameter), parameter)


def traces_together() -> bool:
    """Return whether torch.compile traces a pass in which parameters are cast together."""
    return len(_traced) > 0


def useful(x: Tensor) -> bool:
    """Return whether to cast together in a forward pass of ``x``.

    Not where processes exchange gradients during the backward pass: all come at its end then.
    """
    return (
        x.is_cuda
        and torch.is_autocast_enabled("cuda")
        and not (
            torch.is_grad_enabled() and distributed.is_available() and distributed.is_initialized()
        )
    )


class Kept(dict[int, Tensor]):
    """Parameters in ``dtype`` by ``id``, whose values follow the parameters'; ``lines`` use them.

    It is ``outdated`` once one of the parameters has been replaced.
    """

    def __init__(self, found: dict[int, Tensor], dtype: torch.dtype):
        super().__init__(found)
        self.dtype, self.outdated = dtype, False
        self.lines: dict[nn.Module, Any] = {}


def kept() -> Kept | None:
    """Return what is kept for inference in autocast's dtype, if a forward pass uses it now."""
    together = getattr(_thread, "together", None)
    if not isinstance(together, Kept) or not torch.is_autocast_enabled("cuda"):
        return None
    return together if together.dtype == torch.get_autocast_dtype("cuda") else None


class Parameters:
    """The float32 parameters of some layers, on one device.

    ``found`` does not find a parameter that was added or replaced since then. Inference keeps the
    tensors from one pass to the next, since making one takes longer than casting into it, and casts
    again in each.
    """

    def __init__(self, layers: Iterable[nn.Module]):
        found = (each for layer in layers for each in layer.parameters(recurse=False))
        float32 = (each for each in found if each.dtype == torch.float32)
        self._all: list[Tensor] = list(dict.fromkeys(float32))  # layers may share one
        self._kept: dict[torch.dtype, Kept] = {}

    @property
    def outdated(self) -> bool:
        """Whether a parameter is known to have been replaced."""
        return any(each.outdated for each in self._kept.values())

    def cast(self, dtype: torch.dtype) -> dict[int, Tensor]:
        """Return the parameters in ``dtype``, by ``id``."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            learned = [each for each in self._all if each.requires_grad]
            others = [each for each in self._all if not each.requires_grad]
            return _by_id(learned, dtype) | _by_id(others, dtype)
        if not self._all:
            return {}
        if self._all[0].is_cuda and torch.cuda.is_current_stream_capturing():
            return _by_id(self._all, dtype)  # a graph may outlive what is kept
        if dtype not in self._kept:
            with torch.inference_mode(False), torch.no_grad():
                self._kept[dtype] = Kept(_by_id(self._all, dtype), dtype)
        else:
            torch._foreach_copy_(list(self._kept[dtype].values()), self._all)
        return self._kept[dtype]


def _by_id(parameters: list[Tensor], dtype: torch.dtype) -> dict[int, Tensor]:
    return {
        id(each): found for each, found in zip(parameters, cast(parameters, dtype), strict=True)
    }


@contextmanager
def cast_together(parameters: Parameters, dtype: torch.dtype) -> Iterator[None]:
    """Let ``found`` find ``parameters`` in ``dtype``, in this thread."""
    outer = getattr(_thread, "together", None)
    _thread.together = parameters.cast(dtype)
    try:
        yield
    finally:
        _thread.together = outer


@contextmanager
def traced_together(layers: Iterable[nn.Module], dtype: torch.dtype) -> Iterator[None]:
    """Let ``found`` find parameters in ``dtype`` where torch.compile traces."""
    _traced.update(Parameters(layers).cast(dtype))
    try:
        yield
    finally:
        _traced.clear()
