"""How a depthwise convolution on CUDA is cut into threads, and its kernels run on tensors.

Tensors are channels_last, of a dtype in ``compiled.TYPES``; the padding is less than the kernel.
Kernels whose taps fit into registers stream down strips at stride 1, the others work on tiles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.depthwise import compiled

#: The largest kernel whose taps and window of sums fit into the 255 registers of a thread.
MOST_STREAMED = 11
THREADS = 128  # of a block
#: Threads that keep the largest GPUs busy: rows are cut into segments until there are as many.
BUSY_THREADS = 1 << 16
#: Of a thread of the tiled weight gradient: rows of the kernel, and sums in registers (rows x K).
MOST_ROWS, MOST_SUMS = 4, 50


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    size = weight.shape[-1]
    out = [outputs(side, size, stride, padding) for side in x.shape[2:]]
    y = empty((*x.shape[:2], *out), x)
    _convolve(x, _taps(weight, bias), y, size, stride, padding)
    return y


def input_gradient(
    gradient: Tensor, weight: Tensor, height: int, width: int, stride: int, padding: int
) -> Tensor:
    batch, channels = gradient.shape[:2]
    size = weight.shape[-1]
    dx = empty((batch, channels, height, width), gradient)
    if stride == 1:
        _convolve(gradient, _taps(weight, None, flipped=True), dx, size, 1, size - 1 - padding)
        return dx
    kernels = tiled(size, stride, channels, width, gradient.dtype)
    threads = batch * height * width * _groups(channels, kernels)
    arguments = (gradient, _taps(weight, None), dx, *_sizes(dx, gradient), padding)
    compiled.launch("spread_positions", kernels, threads, arguments)
    return dx


def weight_gradient(
    gradient: Tensor, x: Tensor, kernel_size: int, stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    batch, channels = x.shape[:2]
    out_height, out_width = gradient.shape[2:]
    streamed = stride == 1 and kernel_size <= MOST_STREAMED
    if streamed:
        name, kernels = "gather_strips", streaming(kernel_size, channels, out_width, x.dtype)
        across = batch * -(-out_width // kernels["TW"])
        segment = _segment(across * channels, out_height)
        strips, a_split = across * -(-out_height // segment), channels
    else:
        name, kernels = "gather_tiles", tiled(kernel_size, stride, channels, out_width, x.dtype)
        strips = batch * out_height * -(-out_width // kernels["TW"])
        a_split = -(-kernel_size // kernels["ROWS"]) * _groups(channels, kernels)
    # As many splits as the GPU holds at once, each with the same number of strips.
    rounds = -(-strips * a_split // compiled.threads_at_once(name, kernels, x.device))
    splits = -(-strips // rounds)
    partial = x.new_empty((splits, kernel_size**2 + 1, channels), dtype=torch.float32)
    cut = (segment, splits) if streamed else (splits,)
    arguments = (x, gradient, partial, *_sizes(x, gradient), padding, *cut)
    compiled.launch(name, kernels, splits * a_split, arguments)
    total = partial.sum(0)
    weight = total[:-1].t().reshape(channels, 1, kernel_size, kernel_size)
    return weight.contiguous(), total[-1].clone()


def outputs(side: int, size: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - size) // stride + 1


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _convolve(x: Tensor, taps: Tensor, y: Tensor, size: int, stride: int, padding: int) -> None:
    batch, channels, out_height, out_width = y.shape
    arguments = (x, taps, y, *_sizes(x, y), padding)
    if stride == 1 and size <= MOST_STREAMED:
        kernels = streaming(size, channels, out_width, x.dtype)
        across = batch * -(-out_width // kernels["TW"]) * channels
        segment = _segment(across, out_height)
        threads = across * -(-out_height // segment)
        compiled.launch("convolve_strips", kernels, threads, (*arguments, segment))
    else:
        kernels = tiled(size, stride, channels, out_width, x.dtype)
        tiles = batch * -(-out_height // kernels["TH"]) * -(-out_width // kernels["TW"])
        threads = tiles * _groups(channels, kernels)
        compiled.launch("convolve_tiles", kernels, threads, arguments)


def streaming(size: int, channels: int, out_width: int, dtype: torch.dtype) -> compiled.Source:
    """Strips of 8 columns, or of 7: for widths that are multiples of 7, as at 224 pixels,
    and for large kernels, whose taps fill the registers."""
    columns = 4 if out_width <= 4 else 7 if size > 7 or out_width % 7 == 0 else 8
    return compiled.source("streaming", dtype, THREADS, C=channels, K=size, TW=columns)


def tiled(
    size: int, stride: int, channels: int, out_width: int, dtype: torch.dtype
) -> compiled.Source:
    """Odd numbers of channels are taken one at a time; strides and large kernels, whose inputs and
    taps fill the registers, four columns."""
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
        ROWS=-(-size // -(-size // rows)),
    )


def _segment(threads: int, rows: int) -> int:
    """Rows of a thread, if there are ``threads`` where each takes all ``rows``."""
    return -(-rows // min(rows, -(-BUSY_THREADS // threads)))


def _taps(weight: Tensor, bias: Tensor | None, *, flipped: bool = False) -> Tensor:
    """(K * K + 1, C) in float32, the bias last: neighbouring channels beside each other."""
    channels, size = weight.shape[0], weight.shape[-1]
    taps = weight.new_empty((size**2 + 1, channels), dtype=torch.float32)
    weight = weight.contiguous() if weight.dtype in compiled.TYPES else weight.float()
    beside = weight if bias is None else bias.to(weight.dtype)
    kernel = compiled.source("taps", weight.dtype, THREADS, C=channels, K=size)
    arguments = (weight, beside, taps, int(bias is not None), int(flipped))
    compiled.launch("pack", kernel, taps.numel(), arguments)
    return taps


def _groups(channels: int, kernels: compiled.Source) -> int:
    return channels // kernels["V"]


def _sizes(x: Tensor, y: Tensor) -> tuple[int, ...]:
    """What kernels are told of input and output: batch, height, width, output's height, width."""
    return (x.shape[0], *x.shape[2:], *y.shape[2:])
