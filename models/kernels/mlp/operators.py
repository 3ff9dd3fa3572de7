"""The kernels as ``torch.library`` operators, which ``torch.compile`` knows, and where they run.

On other devices and dtypes than the kernels', the operators compute the same with PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from models.kernels.library import fragment
from models.kernels.mlp import launch
from models.kernels.tracing import graphs_recorded

#: The tensor memory accelerator came with this compute capability.
LEAST_CAPABILITY = (9, 0)
TYPES = (torch.bfloat16, torch.float16)
#: Columns up to which, and elements of the output from which, a product with a sum in its epilogue
#: is faster than the two one after the other (results/measured/mlp.csv).
MOST_COLUMNS, LEAST_SUMMED = 384, 1 << 22

_library = fragment("mlp")
_library.define("linear_gelu(Tensor x, Tensor weight, Tensor bias) -> Tensor")
_library.define("linear_gelu_in_graph(Tensor x, Tensor weight, Tensor bias) -> Tensor")
_library.define(
    "linear_add(Tensor x, Tensor weight, Tensor bias, Tensor? gamma, Tensor shortcut) -> Tensor"
)
_library.define(
    "linear_add_in_graph(Tensor x, Tensor weight, Tensor bias, Tensor? gamma, Tensor shortcut)"
    " -> Tensor"
)
_library.define("linear_gelu_slope(Tensor x, Tensor weight, Tensor bias) -> (Tensor, Tensor)")
_library.define("gelu_gradient(Tensor gradient, Tensor weight, Tensor slope) -> (Tensor, Tensor)")


@torch.library.impl(_library, "linear_gelu", "CompositeExplicitAutograd")
def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return GELU of ``x`` (M, K) times ``weight`` (N, K) transposed plus ``bias`` (N,)."""
    outputs = weight.shape[0]  # ``len`` of a tensor takes 2 µs
    if not _own(x, outputs):
        return F.gelu(F.linear(x, weight, bias))
    activated = x.new_empty(x.shape[0], outputs)
    launch.linear_gelu(x, weight, bias, activated, None)
    return activated


@torch.library.impl(_library, "linear_gelu_in_graph", "CompositeImplicitAutograd")
def linear_gelu_in_graph(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the same, from the kernel only if what torch.compile traces becomes a CUDA graph."""
    if graphs_recorded():
        return torch.ops.roadmap.linear_gelu(x, weight, bias)
    return F.gelu(F.linear(x, weight, bias))


@torch.library.impl(_library, "linear_add", "CompositeExplicitAutograd")
def linear_add(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor | None, shortcut: Tensor
) -> Tensor:
    """Return ``shortcut`` (M, N) plus ``x`` (M, K) times ``weight`` (N, K) transposed plus ``bias``
    (N,), the latter two times ``gamma`` (N,) unless that is None."""
    if _own(x, weight.shape[0]) and shortcut.dtype == x.dtype:
        return launch.linear_add(x, weight, bias, gamma, shortcut)
    return _linear_add(x, weight, bias, gamma, shortcut)


@torch.library.impl(_library, "linear_add_in_graph", "CompositeImplicitAutograd")
def linear_add_in_graph(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor | None, shortcut: Tensor
) -> Tensor:
    """Return the same, from the kernel only if what torch.compile traces becomes a CUDA graph."""
    if graphs_recorded():
        return torch.ops.roadmap.linear_add(x, weight, bias, gamma, shortcut)
    return _linear_add(x, weight, bias, gamma, shortcut)


def _linear_add(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor | None, shortcut: Tensor
) -> Tensor:
    out = F.linear(x, weight, bias)
    return shortcut + out if gamma is None else torch.addcmul(shortcut, out, gamma)


@torch.library.impl(_library, "linear_gelu_slope", "CompositeExplicitAutograd")
def linear_gelu_slope(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return what ``linear_gelu`` returns, and GELU's derivative at the same places."""
    outputs = weight.shape[0]
    if not _own(x, outputs):
        out = F.linear(x, weight, bias)
        return F.gelu(out), torch.ops.aten.gelu_backward(torch.ones_like(out), out)
    activated = x.new_empty(x.shape[0], outputs)
    slope = torch.empty_like(activated)
    launch.linear_gelu(x, weight, bias, activated, slope)
    return activated, slope


@torch.library.impl(_library, "gelu_gradient", "CompositeExplicitAutograd")
def gelu_gradient(gradient: Tensor, weight: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``gradient`` (M, K) times ``weight`` (K, N), times ``slope`` (M, N) by element.

    The second output has its sums over parts of the rows: (parts, N), in float32 or float64.
    """
    if _own(gradient, weight.shape[1]):
        return launch.gelu_gradient(gradient, weight, slope)
    hidden = (gradient @ weight) * slope
    parts = hidden.to(_precise(slope)).split(launch.OF_GRADIENT.rows)
    return hidden, torch.stack([part.sum(0) for part in parts])


@torch.library.register_fake("roadmap::linear_gelu", lib=_library)
def _(x: Tensor, weight: Tensor, _bias: Tensor) -> Tensor:
    return x.new_empty(len(x), len(weight))


@torch.library.register_fake("roadmap::linear_add", lib=_library)
def _(
    _x: Tensor, _weight: Tensor, _bias: Tensor, _gamma: Tensor | None, shortcut: Tensor
) -> Tensor:
    return torch.empty_like(shortcut, memory_format=torch.contiguous_format)


@torch.library.register_fake("roadmap::linear_gelu_slope", lib=_library)
def _(x: Tensor, weight: Tensor, _bias: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(len(x), len(weight)), x.new_empty(len(x), len(weight))


@torch.library.register_fake("roadmap::gelu_gradient", lib=_library)
def _(_gradient: Tensor, weight: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    parts = -(-len(slope) // launch.OF_GRADIENT.rows)
    sums = slope.new_empty(parts, weight.shape[1], dtype=_precise(slope))
    return torch.empty_like(slope), sums


def supported(device: torch.device, sizes: Sequence[int]) -> bool:
    """Return whether the kernels run on ``device``, and for rows of these sizes."""
    return all(2 * size % launch.ALIGNED == 0 for size in sizes) and _available(device)


def summed(rows: int, columns: int) -> bool:
    """Return whether ``linear_add`` is faster than PyTorch's operators for (rows, columns)."""
    return columns <= MOST_COLUMNS and rows * columns >= LEAST_SUMMED


def _available(device: torch.device) -> bool:
    return _launched(device)


# As by torch.compiler.assume_constant_result, which imports torch._dynamo: that takes as long as
# importing torch, also where nothing is compiled.
_available._dynamo_marked_constant = True  # type: ignore[attr-defined]


@cache
def _launched(device: torch.device) -> bool:
    """Return whether a kernel can be compiled for and launched on ``device``."""
    if device.type != "cuda" or torch.version.hip:
        return False
    if torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
        return False
    x, weight, bias = (
        torch.zeros(*shape, device=device, dtype=torch.bfloat16) for shape in ((8, 8), (8, 8), (8,))
    )
    try:
        launch.linear_gelu(x, weight, bias, torch.empty_like(x), None)
    except Exception:  # Triton is missing, or finds no C compiler, or ...
        return False
    return True


def _own(x: Tensor, outputs: int) -> bool:
    return x.dtype in TYPES and x.numel() > 0 and supported(x.device, (x.shape[1], outputs))


def _precise(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
