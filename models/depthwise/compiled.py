"""The kernels of ``kernels.cu``, compiled on first use for a shape's kind and the GPU at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("kernels.cu")
TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
THREADS = 128  # of a block
#: Of a thread of the weight gradient: rows of the kernel, and sums in registers (rows x K).
MOST_ROWS, MOST_SUMS = 4, 50


@dataclass(frozen=True)
class Variant:
    """What a kernel is compiled for: the names that ``kernels.cu`` wants defined."""

    C: int
    K: int
    S: int
    TH: int
    TW: int
    V: int
    ROWS: int
    TYPE: int
    THREADS: int = THREADS

    @property
    def source(self) -> str:
        defined = "".join(f"#define {name} {value}\n" for name, value in asdict(self).items())
        return defined + SOURCE.read_text(encoding="utf-8")


def variant(
    kernel_size: int, stride: int, channels: int, out_width: int, dtype: torch.dtype
) -> Variant:
    """How the work of such a convolution is cut: outputs and channels of a thread.

    Odd numbers of channels are taken one at a time. Widths that are multiples of 7, as ConvNeXt's
    at 224 pixels, are cut into strips of 7, others of 8; strides and large kernels, whose inputs
    and taps fill the registers, into 4.
    """
    narrow = stride > 1 or kernel_size > 13
    most_rows = max(1, min(MOST_ROWS, MOST_SUMS // kernel_size))
    columns = 4 if narrow or out_width <= 4 else 7 if out_width % 7 == 0 else 8
    return Variant(
        C=channels,
        K=kernel_size,
        S=stride,
        TH=1 if kernel_size > 13 else 4,
        TW=columns,
        V=1 if channels % 2 or kernel_size > 23 else 2,
        ROWS=-(-kernel_size // -(-kernel_size // most_rows)),
        TYPE=TYPES[dtype],
    )


def launch(name: str, kind: Variant, threads: int, arguments: Sequence[Tensor | int]) -> None:
    """Run kernel ``name`` with ``threads`` threads on the current stream of the tensors' GPU."""
    device = next(value.device for value in arguments if isinstance(value, Tensor))
    with torch.cuda.device(device):
        kernel = _kernel(name, kind, torch.cuda.get_device_capability(device), device.index)
        blocks = -(-threads // kind.THREADS)
        kernel(grid=(blocks, 1, 1), block=(kind.THREADS, 1, 1), args=list(arguments))


@cache
def _kernel(name: str, kind: Variant, capability: tuple[int, int], _device: int) -> Callable:
    return torch.cuda._compile_kernel(
        kind.source, name, "".join(map(str, capability)), nvcc_options=["--std=c++17"]
    )
