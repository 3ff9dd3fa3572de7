"""How the work of a depthwise convolution on CUDA is divided among threads.

Tensors are channels_last, with a dtype in ``compiled.TYPES``; the padding is less than the kernel
size. At stride 1, kernels whose taps fit into registers move down strips; the others use tiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from models.kernels.depthwise import compiled

#: Largest kernel size whose taps and partial sums fit into the 255 registers of a thread.
MOST_STREAMED = 11
THREADS = 128  # per block
#: Threads that keep the largest GPUs busy; rows are divided into segments to get this many.
BUSY_THREADS = 1 << 16
#: Limits per thread of the tiled weight gradient: kernel rows, and sums in registers (rows x K).
MOST_ROWS, MOST_SUMS = 4, 50
#: Partial sums that one thread adds; PyTorch adds more of them faster.
MOST_SPLITS = 64


@dataclass(frozen=True)
class Problem:
    """A convolution of a ``shape`` (N, C, H, W) in ``dtype`` on ``device``."""

    shape: tuple[int, ...]
    size: int
    stride: int
    padding: int
    dtype: torch.dtype
    wide: bool  # whether filters are float32 while tensors are not
    device: torch.device

    @property
    def out(self) -> tuple[int, int]:
        """Return the height and width of the output."""
        height, width = (outputs(s, self.size, self.stride, self.padding) for s in self.shape[2:])
        return height, width

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the arguments that all kernels take."""
        batch, _, *sides = self.shape
        return (batch, *sides, *self.out, self.padding)

    @property
    def streamed(self) -> bool:
        return self.stride == 1 and self.size <= MOST_STREAMED

    @property
    def source(self) -> compiled.KernelSource:
        channels, width = self.shape[1], self.out[1]
        if self.streamed:
            return streaming(self.size, channels, width, self.dtype, wide=self.wide)
        return tiled(self.size, self.stride, channels, width, self.dtype)


@dataclass(frozen=True)
class LaunchPlan:
    """A kernel, its number of threads and its integer arguments.

    ``shape`` is that of the tensor it writes, where this depends on the problem. A ``streamed``
    kernel reads filters as they are, the others packed.
    """

    kernel: compiled.Kernel
    threads: int
    numbers: tuple[int, ...]
    shape: tuple[int, ...] = ()
    streamed: bool = False

    def run(self, *tensors: Tensor, numbers: tuple[int, ...] = ()) -> None:
        self.kernel.launch(self.threads, tensors, self.numbers + numbers)


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    weight = _readable(weight, x.dtype)
    kind = (x.dtype, weight.dtype != x.dtype, x.device)
    plan = _convolution(x.shape, weight.shape[-1], stride, padding, *kind)
    return _run(plan, x, weight, bias, flipped=False)


def input_gradient(
    gradient: Tensor, weight: Tensor, height: int, width: int, stride: int, padding: int
) -> Tensor:
    weight = _readable(weight, gradient.dtype)
    size, shape = weight.shape[-1], gradient.shape
    kind = (gradient.dtype, weight.dtype != gradient.dtype, gradient.device)
    if stride == 1:  # a convolution with the kernel rotated by 180 degrees
        plan = _convolution(shape, size, 1, size - 1 - padding, *kind)
    else:
        plan = _spread((*shape[:2], height, width), size, stride, padding, *kind)
    return _run(plan, gradient, weight, None, flipped=stride == 1)


def weight_gradient(
    gradient: Tensor, x: Tensor, kernel_size: int, stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    # Filters are not read; "wide" is how training under autocast has compiled the same file.
    kind = (x.dtype, x.dtype != torch.float32, x.device)
    plan = _gather(x.shape, kernel_size, stride, padding, *kind)
    partial = x.new_empty(plan.shape, dtype=torch.float32)
    plan.run(x, gradient, partial)
    if plan.shape[0] > MOST_SPLITS:
        partial = partial.sum(0, keepdim=True)
    channels = x.shape[1]
    weight = partial.new_empty((channels, 1, kernel_size, kernel_size))
    bias = partial.new_empty(channels)
    _taps_plan("unpack", channels, kernel_size, torch.float32, x.device).run(
        partial, weight, bias, numbers=(partial.shape[0],)
    )
    return weight, bias


def outputs(side: int, size: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - size) // stride + 1


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _readable(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the filters contiguous, in float32 or ``dtype``."""
    if weight.dtype not in (dtype, torch.float32):
        weight = weight.float()
    return weight.contiguous()


def _run(
    plan: LaunchPlan, x: Tensor, weight: Tensor, bias: Tensor | None, *, flipped: bool
) -> Tensor:
    y = torch.empty_like(x) if plan.shape == x.shape else empty(plan.shape, x)
    has_bias = bias is not None
    # Without a bias, kernels need some address.
    beside = weight if bias is None else bias.to(weight.dtype).contiguous()
    numbers = (int(has_bias), int(flipped))
    if plan.streamed:
        plan.run(x, weight, beside, y, numbers=numbers)
        return y
    channels, size = weight.shape[0], weight.shape[-1]
    taps = torch.empty((size**2 + 1, channels), dtype=torch.float32, device=weight.device)
    packing = _taps_plan("pack", channels, size, weight.dtype, weight.device)
    packing.run(weight, beside, taps, numbers=numbers)
    plan.run(x, taps, y)
    return y


# Plans are cached, since a training step needs dozens.


@cache
def _convolution(*problem: Any) -> LaunchPlan:
    p = Problem(*problem)
    kernels, (height, width) = p.source, p.out
    batch, channels = p.shape[:2]
    shape = (batch, channels, height, width)
    if p.streamed:
        across = batch * _parts(width, kernels["TW"]) * channels
        segment = _segment(across, height)
        kernel = compiled.kernel("convolve_strips", kernels, p.device)
        threads = across * _parts(height, segment)
        return LaunchPlan(kernel, threads, (*p.sizes, segment), shape, streamed=True)
    tiles = batch * _parts(height, kernels["TH"]) * _parts(width, kernels["TW"])
    kernel = compiled.kernel("convolve_tiles", kernels, p.device)
    return LaunchPlan(kernel, tiles * channels // kernels["V"], p.sizes, shape)


@cache
def _spread(*problem: Any) -> LaunchPlan:
    p = Problem(*problem)
    kernels = tiled(p.size, p.stride, p.shape[1], p.shape[3], p.dtype)
    threads = math.prod(p.shape) // kernels["V"]
    kernel = compiled.kernel("spread_positions", kernels, p.device)
    return LaunchPlan(kernel, threads, p.sizes, p.shape)


@cache
def _gather(*problem: Any) -> LaunchPlan:
    p = Problem(*problem)
    kernels, (height, width) = p.source, p.out
    batch, channels = p.shape[:2]
    across = batch * _parts(width, kernels["TW"])
    if p.streamed:
        kernel = compiled.kernel("gather_strips", kernels, p.device)
        segment = _segment(across * channels, height)
        strips, a_split = across * _parts(height, segment), channels
        numbers = (*p.sizes, segment)
    else:
        kernel = compiled.kernel("gather_tiles", kernels, p.device)
        strips = across * height
        a_split = _parts(p.size, kernels["ROWS"]) * channels // kernels["V"]
        numbers = p.sizes
    # As many splits as the GPU holds at once, each with the same number of strips.
    splits = _parts(strips, _parts(strips * a_split, kernel.threads_at_once()))
    shape = (splits, p.size**2 + 1, channels)
    return LaunchPlan(kernel, splits * a_split, (*numbers, splits), shape)


@cache
def _taps_plan(
    name: str, channels: int, size: int, dtype: torch.dtype, device: torch.device
) -> LaunchPlan:
    kernels = compiled.source("taps", dtype, THREADS, C=channels, K=size)
    kernel = compiled.kernel(name, kernels, device)
    return LaunchPlan(kernel, (size**2 + 1) * channels, ())


def streaming(
    size: int, channels: int, out_width: int, dtype: torch.dtype, *, wide: bool
) -> compiled.KernelSource:
    """Return kernels with strips of 8 columns, or 7 for widths that are multiples of 7 (as at 224
    pixels) and for large kernels, whose taps fill the registers.

    ``wide`` filters are float32. Those of a block must fit into 48 KB of shared memory.
    """
    columns = 4 if out_width <= 4 else 7 if size > 7 or out_width % 7 == 0 else 8
    threads = THREADS if size <= 9 else THREADS // 2
    return compiled.source(
        "streaming", dtype, threads, C=channels, K=size, TW=columns, WIDE=int(wide)
    )


def tiled(
    size: int, stride: int, channels: int, out_width: int, dtype: torch.dtype
) -> compiled.KernelSource:
    """Return kernels that process two channels at a time, or one if the number of channels is odd.

    Strided and large kernels, whose inputs and taps fill the registers, process fewer columns.
    """
    narrow = stride > 1 or size > 13 or out_width <= 4
    rows = max(1, min(MOST_ROWS, MOST_SUMS // size))
    return compiled.source(
        "tiled",
        dtype,
        THREADS,
        C=channels,
        K=size,
        S=stride,
        TH=1 if size > 13 else 4,
        TW=4 if narrow else 8,
        V=1 if channels % 2 or size > 23 else 2,
        ROWS=_parts(size, _parts(size, rows)),
    )


def _segment(threads: int, rows: int) -> int:
    """Return the rows per thread, given ``threads`` if each took all ``rows``."""
    return _parts(rows, min(rows, _parts(BUSY_THREADS, threads)))


def _parts(whole: int, part: int) -> int:
    return -(-whole // part)
