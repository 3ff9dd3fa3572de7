"""Launches of the Triton kernels.

Triton compiles them. It also launches them the first time, which takes 200 µs; later launches go
straight to the CUDA driver, with parameters in the order in which Triton passes them.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.kernels import driver
from models.kernels.mlp.tensor_map import BYTES, TensorMap, Tiled


class Tiling(NamedTuple):
    """How a kernel divides its work."""

    rows: int
    columns: int
    step: int
    warps: int
    stages: int
    programs: int  # per multiprocessor

    @property
    def options(self) -> dict[str, int]:
        """The kernel's constants and Triton's options, but for the number of programs."""
        sizes = {"ROWS": self.rows, "COLUMNS": self.columns, "STEP": self.step}
        return {**sizes, "num_warps": self.warps, "num_stages": self.stages}


#: The fastest on an H200 (benchmarks/mlp.py).
OF_LINEAR = Tiling(128, 128, 64, 8, 3, 2)
OF_GRADIENT = OF_SUM = Tiling(256, 64, 32, 4, 4, 2)
OF_WIDE_SUM = Tiling(128, 128, 64, 4, 5, 1)
#: Outputs from which a product with a sum takes ``OF_WIDE_SUM``.
WIDE = 384
#: Bytes at whose multiples tensors and rows start for the tensor memory accelerator.
ALIGNED = 16


def linear_gelu(
    x: Tensor, weight: Tensor, bias: Tensor, activated: Tensor, slope: Tensor | None
) -> None:
    """Write GELU of ``x`` (M, K) times ``weight`` (N, K) transposed plus ``bias`` (N,).

    Writes it to ``activated`` (M, N), and its derivative to ``slope`` (M, N) unless that is None.
    """
    run = _of_linear(x.dtype, x.device, slope is not None)
    slope = activated if slope is None else slope
    run((x, weight, bias, activated, slope), (x.shape[0], weight.shape[0], x.shape[1]))


def linear_add(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor | None, shortcut: Tensor
) -> Tensor:
    """Return ``shortcut`` (M, N) plus ``x`` (M, K) times ``weight`` (N, K) transposed plus ``bias``
    (N,), the latter two times ``gamma`` (N,) unless that is None."""
    out = torch.empty_like(shortcut, memory_format=torch.contiguous_format)
    columns = weight.shape[0]
    run = _of_sum(x.dtype, x.device, columns >= WIDE, gamma is not None)
    tensors = (x, weight, bias, bias if gamma is None else gamma, shortcut, out)
    run(tensors, (x.shape[0], columns, x.shape[1]))
    return out


def gelu_gradient(gradient: Tensor, weight: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``gradient`` (M, K) times ``weight`` (K, N), times ``slope`` (M, N) by element.

    The second output has its sums over each tile of rows: (tiles, N), in float32.
    """
    rows, columns = slope.shape
    hidden = torch.empty_like(slope)
    sums = slope.new_empty(-(-rows // OF_GRADIENT.rows), columns, dtype=torch.float32)
    run = _of_gradient(slope.dtype, slope.device)
    run((gradient, weight, slope, hidden, sums), (rows, columns, gradient.shape[1]))
    return hidden, sums


@cache
def _of_linear(_dtype: torch.dtype, device: torch.device, with_slope: bool) -> TritonLauncher:
    from models.kernels.mlp.kernels import linear_gelu_kernel

    x, weight, out = _of_forward(OF_LINEAR)
    tensors, constants = (x, weight, None, out, out), {"WITH_SLOPE": with_slope}
    return TritonLauncher(linear_gelu_kernel, tensors, OF_LINEAR, device, constants)


@cache
def _of_sum(_dtype: torch.dtype, device: torch.device, wide: bool, scaled: bool) -> TritonLauncher:
    from models.kernels.mlp.kernels import linear_add_kernel

    tiling = OF_WIDE_SUM if wide else OF_SUM
    x, weight, out = _of_forward(tiling)
    tensors, constants = (x, weight, None, None, out, out), {"SCALED": scaled}
    return TritonLauncher(linear_add_kernel, tensors, tiling, device, constants)


def _of_forward(tiling: Tiling) -> tuple[Tiled, Tiled, Tiled]:
    """Return the tiles of a product's input, weight and output, which is written by halves."""
    rows, columns, step, *_ = tiling
    return (
        Tiled("MK", (rows, step)),
        Tiled("NK", (columns, step)),
        Tiled("MN", (rows, columns // 2)),
    )


@cache
def _of_gradient(_dtype: torch.dtype, device: torch.device) -> TritonLauncher:
    from models.kernels.mlp.kernels import gelu_gradient_kernel

    rows, columns, step, *_ = OF_GRADIENT
    out = Tiled("MN", (rows, columns // 2))
    tensors = (Tiled("MK", (rows, step)), Tiled("KN", (step, columns)), out, out, None)
    return TritonLauncher(gelu_gradient_kernel, tensors, OF_GRADIENT, device)


class TritonLauncher:
    """A kernel for one dtype and device; ``None`` stands for a tensor that it reads by address."""

    def __init__(
        self,
        kernel: Any,
        tensors: tuple[Tiled | None, ...],
        tiling: Tiling,
        device: torch.device,
        constants: Mapping[str, int] | None = None,
    ):
        self._kernel, self._tensors, self._device = kernel, tensors, device
        self._programs = tiling.programs * _multiprocessors(device)
        self._options = {**tiling.options, **(constants or {}), "PROGRAMS": self._programs}
        self._compiled: Any = None  # Triton unloads what nobody refers to
        self._launch: driver.Launcher | None = None

    def __call__(self, tensors: tuple[Tensor, ...], sizes: tuple[int, int, int]) -> None:
        """Launch on the current stream; ``sizes`` are M, N and K."""
        tensors = tuple(_aligned(tensor) for tensor in tensors)
        if self._launch is None:
            return self._first(tensors, sizes)
        key = (*[tensor.data_ptr() for tensor in tensors], *sizes)
        return self._launch(self._programs, key)

    def _first(self, tensors: tuple[Tensor, ...], sizes: tuple[int, int, int]) -> None:
        """Compile the kernel, launch it and keep what later launches need."""
        from triton.tools.tensor_descriptor import TensorDescriptor

        described = [
            tensor if tiled is None else TensorDescriptor.from_tensor(tensor, list(tiled.tile))
            for tiled, tensor in zip(self._tensors, tensors, strict=True)
        ]
        with torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext():
            compiled = self._kernel[(self._programs, 1, 1)](*described, *sizes, **self._options)
        if compiled is not None:  # it is None in Triton's interpreter
            self._compiled = compiled
            self._launch = prepared(compiled, self._tensors, tensors[0].dtype, self._device)


def prepared(
    compiled: Any, tensors: tuple[Tiled | None, ...], dtype: torch.dtype, device: torch.device
) -> driver.Launcher:
    """Return the launcher of a kernel that Triton has compiled; keys are addresses, M, N and K.

    Raises ``DriverError`` if this Triton passes other parameters than expected here.
    """
    _check_parameters(compiled.asm["ptx"], tensors)
    described = iter(compiled.metadata.tensordesc_meta)
    maps = [tiled and TensorMap(tiled, dtype, next(described)) for tiled in tensors]
    threads, shared = 32 * compiled.metadata.num_warps, compiled.metadata.shared

    def encoded(key: tuple[int, ...]) -> list[Any]:
        addresses, sizes = key[: len(maps)], key[len(maps) :]
        values: list[Any] = []
        for address, each in zip(addresses, maps, strict=True):
            values += [ctypes.c_void_p(address)] if each is None else each.encoded(address, sizes)
        scratch = (ctypes.c_void_p(), ctypes.c_void_p())  # the kernels use none
        return [*values, *map(ctypes.c_int32, sizes), *scratch]

    return driver.Launcher(compiled.function, device, threads, encoded, shared=shared)


def _check_parameters(ptx: str, tensors: tuple[Tiled | None, ...]) -> None:
    by_tensor = [[8] if tiled is None else [BYTES, 4, 4, 8, 8] for tiled in tensors]
    expected = [*chain(*by_tensor), 4, 4, 4, 8, 8]
    entry = ptx[ptx.index(".entry") : ptx.index("{", ptx.index(".entry"))]
    pattern = r"\.param (?:\.align \d+ \.b8 \w+\[(\d+)\]|\.\w(\d+))"
    found = [int(size or int(bits) // 8) for size, bits in re.findall(pattern, entry)]
    if found != expected:
        raise driver.DriverError(f"kernel parameters have {found} bytes instead of {expected}")


def _aligned(x: Tensor) -> Tensor:
    """Return ``x``, or a copy that is contiguous and aligned."""
    if not x.is_contiguous():
        x = x.contiguous()
    return x if x.data_ptr() % ALIGNED == 0 else x.clone()


@cache
def _multiprocessors(device: torch.device) -> int:
    if device.type != "cuda":  # in Triton's interpreter
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
