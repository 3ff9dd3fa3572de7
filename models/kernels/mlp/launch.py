"""Launches of the Triton kernels; a launch through Triton's ``kernel[grid]`` takes 200 µs.

What depends on the kind of tensors alone is prepared once, so that a launch only fills in
addresses and sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from models.kernels import driver

#: Tiles, warps and pipeline stages that were fastest on an H200 (benchmarks/mlp.py).
ROWS = COLUMNS = 128
HALF = COLUMNS // 2
OF_LINEAR = {"STEP": 64, "num_warps": 8, "num_stages": 3}
OF_GRADIENT = {"STEP": 32, "num_warps": 4, "num_stages": 4}
PROGRAMS = 2  # per multiprocessor
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
    run((x, weight, bias, activated, slope), (len(x), len(weight), x.shape[1]))


def gelu_gradient(gradient: Tensor, weight: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``gradient`` (M, K) times ``weight`` (K, N), times ``slope`` (M, N) by element.

    The second output has its sums over each tile of rows: (tiles, N), in float32.
    """
    rows, columns = slope.shape
    hidden = torch.empty_like(slope)
    sums = slope.new_empty(-(-rows // ROWS), columns, dtype=torch.float32)
    run = _of_gradient(slope.dtype, slope.device)
    run((gradient, weight, slope, hidden, sums), (rows, columns, gradient.shape[1]))
    return hidden, sums


@cache
def _of_linear(_dtype: torch.dtype, device: torch.device, with_slope: bool) -> Launcher:
    from models.kernels.mlp.kernels import linear_gelu_kernel

    step = OF_LINEAR["STEP"]
    tiles = ((ROWS, step), (COLUMNS, step), None, (ROWS, HALF), (ROWS, HALF))
    return Launcher(linear_gelu_kernel, tiles, {"WITH_SLOPE": with_slope, **OF_LINEAR}, device)


@cache
def _of_gradient(_dtype: torch.dtype, device: torch.device) -> Launcher:
    from models.kernels.mlp.kernels import gelu_gradient_kernel

    step = OF_GRADIENT["STEP"]
    tiles = ((ROWS, step), (step, COLUMNS), (ROWS, HALF), (ROWS, HALF), None)
    return Launcher(gelu_gradient_kernel, tiles, OF_GRADIENT, device)


class Launcher:
    """A kernel for one dtype and device.

    ``tiles`` has the tile of each tensor that goes through the tensor memory accelerator, and None
    for the others.
    """

    def __init__(
        self,
        kernel: Any,
        tiles: tuple[tuple[int, int] | None, ...],
        options: dict[str, int],
        device: torch.device,
    ):
        from triton.tools.tensor_descriptor import TensorDescriptor

        self._kernel, self._tiles, self._device = kernel, tiles, device
        self._described = TensorDescriptor.from_tensor
        programs = PROGRAMS * _multiprocessors(device)
        self._grid = (programs, 1, 1)
        self._options = {**options, "ROWS": ROWS, "COLUMNS": COLUMNS, "PROGRAMS": programs}
        self._run: Callable[..., None] | None = None

    def __call__(self, tensors: tuple[Tensor, ...], sizes: tuple[int, int, int]) -> None:
        """Launch on the current stream."""
        if self._device.type == "cuda":
            if torch._C._cuda_getDevice() != self._device.index:
                with torch.cuda.device(self._device):
                    return self(tensors, sizes)
            driver.make_context_current(self._device.index)
        tensors = tuple(_aligned(tensor) for tensor in tensors)
        if self._run is None:
            return self._first(tensors, sizes)
        described = [
            tensor if template is None else _copied(template, tensor)
            for template, tensor in zip(self._templates, tensors, strict=True)
        ]
        return self._run(*described, *sizes, *self._constants)

    def _first(self, tensors: tuple[Tensor, ...], sizes: tuple[int, int, int]) -> None:
        """Compile the kernel, launch it and keep what later launches need."""
        described = [
            tensor if tile is None else self._described(tensor, list(tile))
            for tile, tensor in zip(self._tiles, tensors, strict=True)
        ]
        compiled = self._kernel[self._grid](*described, *sizes, **self._options)
        if compiled is None:  # in Triton's interpreter
            return
        self._templates = [
            None if tile is None else _copied(each, torch.empty(0, 0))
            for tile, each in zip(self._tiles, described, strict=True)
        ]
        names = self._kernel.arg_names[len(tensors) + len(sizes) :]
        self._constants = [self._options[name] for name in names]
        self._run = compiled[self._grid]


def _aligned(x: Tensor) -> Tensor:
    """Return ``x``, or a copy that is contiguous and aligned."""
    if not x.is_contiguous():
        x = x.contiguous()
    return x if x.data_ptr() % ALIGNED == 0 else x.clone()


def _copied(template: Any, base: Tensor) -> Any:
    """Return the descriptor ``template`` of another tensor, without Triton's checks."""
    descriptor = object.__new__(type(template))
    descriptor.__dict__.update(
        template.__dict__, base=base, shape=base.shape, strides=base.stride()
    )
    return descriptor


@cache
def _multiprocessors(device: torch.device) -> int:
    if device.type != "cuda":  # in Triton's interpreter
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
