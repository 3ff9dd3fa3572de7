"""How the work of a depthwise convolution on CUDA is divided among threads.

Tensors are channels_last, with a dtype in ``compiled.TYPES``; the padding is less than the kernel
size. At stride 1, kernels whose taps fit into registers move down strips; the others use tiles.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class Problem:
    """A convolution of (batch, channels, height, width) to out_height x out_width on ``device``."""

    batch: int
    channels: int
    height: int
    width: int
    out_height: int
    out_width: int
    size: int
    stride: int
    padding: int
    dtype: torch.dtype
    device: torch.device

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the arguments that all kernels take."""
        outputs = (self.out_height, self.out_width)
        return (self.batch, self.height, self.width, *outputs, self.padding)

    @property
    def streamed(self) -> bool:
        return self.stride == 1 and self.size <= MOST_STREAMED


@dataclass(frozen=True)
class Plan:
    """A kernel, its number of threads and its integer arguments."""

    kernel: compiled.Kernel
    threads: int
    numbers: tuple[int, ...]
    splits: int = 0  # partial sums of the weight gradient

    def run(self, *tensors: Tensor) -> None:
        self.kernel.launch(self.threads, tensors, self.numbers)


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    batch, channels, *sides = x.shape
    size = weight.shape[-1]
    out = [outputs(side, size, stride, padding) for side in sides]
    y = empty((batch, channels, *out), x)
    plan = _convolution(batch, channels, *sides, *out, size, stride, padding, x.dtype, x.device)
    plan.run(x, _taps(weight, bias), y)
    return y


def input_gradient(
    gradient: Tensor, weight: Tensor, height: int, width: int, stride: int, padding: int
) -> Tensor:
    batch, channels, *out = gradient.shape
    size, kind = weight.shape[-1], (gradient.dtype, gradient.device)
    dx = empty((batch, channels, height, width), gradient)
    if stride == 1:  # a convolution with the kernel rotated by 180 degrees
        pad = size - 1 - padding
        plan = _convolution(batch, channels, *out, height, width, size, 1, pad, *kind)
    else:
        plan = _spread(batch, channels, height, width, *out, size, stride, padding, *kind)
    plan.run(gradient, _taps(weight, None, flipped=stride == 1), dx)
    return dx


def weight_gradient(
    gradient: Tensor, x: Tensor, kernel_size: int, stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    channels, kind = x.shape[1], (x.dtype, x.device)
    plan = _gather(*x.shape, *gradient.shape[2:], kernel_size, stride, padding, *kind)
    partial = x.new_empty((plan.splits, kernel_size**2 + 1, channels), dtype=torch.float32)
    plan.run(x, gradient, partial)
    total = partial.sum(0)
    weight = total[:-1].t().reshape(channels, 1, kernel_size, kernel_size)
    return weight.contiguous(), total[-1].clone()


def outputs(side: int, size: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - size) // stride + 1


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


# Plans are cached per shape, since a training step needs dozens.


@cache
def _convolution(*problem: Any) -> Plan:
    p = Problem(*problem)
    if p.streamed:
        kernels = streaming(p.size, p.channels, p.out_width, p.dtype)
        across = p.batch * _parts(p.out_width, kernels["TW"]) * p.channels
        segment = _segment(across, p.out_height)
        threads = across * _parts(p.out_height, segment)
        kernel = compiled.kernel("convolve_strips", kernels, p.device)
        return Plan(kernel, threads, (*p.sizes, segment))
    kernels = tiled(p.size, p.stride, p.channels, p.out_width, p.dtype)
    tiles = p.batch * _parts(p.out_height, kernels["TH"]) * _parts(p.out_width, kernels["TW"])
    kernel = compiled.kernel("convolve_tiles", kernels, p.device)
    return Plan(kernel, tiles * p.channels // kernels["V"], p.sizes)


@cache
def _spread(*problem: Any) -> Plan:
    p = Problem(*problem)
    kernels = tiled(p.size, p.stride, p.channels, p.width, p.dtype)
    threads = p.batch * p.height * p.width * p.channels // kernels["V"]
    return Plan(compiled.kernel("spread_positions", kernels, p.device), threads, p.sizes)


@cache
def _gather(*problem: Any) -> Plan:
    p = Problem(*problem)
    if p.streamed:
        kernels = streaming(p.size, p.channels, p.out_width, p.dtype)
        kernel = compiled.kernel("gather_strips", kernels, p.device)
        across = p.batch * _parts(p.out_width, kernels["TW"])
        segment = _segment(across * p.channels, p.out_height)
        strips, a_split = across * _parts(p.out_height, segment), p.channels
        numbers = (*p.sizes, segment)
    else:
        kernels = tiled(p.size, p.stride, p.channels, p.out_width, p.dtype)
        kernel = compiled.kernel("gather_tiles", kernels, p.device)
        strips = p.batch * p.out_height * _parts(p.out_width, kernels["TW"])
        a_split = _parts(p.size, kernels["ROWS"]) * p.channels // kernels["V"]
        numbers = p.sizes
    # As many splits as the GPU holds at once, each with the same number of strips.
    splits = _parts(strips, _parts(strips * a_split, kernel.threads_at_once()))
    return Plan(kernel, splits * a_split, (*numbers, splits), splits)


def streaming(
    size: int, channels: int, out_width: int, dtype: torch.dtype
) -> compiled.KernelSource:
    """Return kernels with strips of 8 columns, or 7 for widths that are multiples of 7 (as at 224
    pixels) and for large kernels, whose taps fill the registers."""
    columns = 4 if out_width <= 4 else 7 if size > 7 or out_width % 7 == 0 else 8
    return compiled.source("streaming", dtype, THREADS, C=channels, K=size, TW=columns)


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


def _taps(weight: Tensor, bias: Tensor | None, *, flipped: bool = False) -> Tensor:
    """Return weight and bias as (K * K + 1, C) in float32, the bias last."""
    channels, size = weight.shape[0], weight.shape[-1]
    weight = weight.contiguous() if weight.dtype in compiled.TYPES else weight.float()
    beside = weight if bias is None else bias.to(weight.dtype).contiguous()
    taps = torch.empty((size**2 + 1, channels), dtype=torch.float32, device=weight.device)
    plan = _packing(channels, size, bias is not None, flipped, weight.dtype, weight.device)
    plan.run(weight, beside, taps)
    return taps


@cache
def _packing(
    channels: int,
    size: int,
    has_bias: bool,
    flipped: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> Plan:
    kernels = compiled.source("taps", dtype, THREADS, C=channels, K=size)
    kernel = compiled.kernel("pack", kernels, device)
    return Plan(kernel, (size**2 + 1) * channels, (int(has_bias), int(flipped)))


def _parts(whole: int, part: int) -> int:
    return -(-whole // part)
