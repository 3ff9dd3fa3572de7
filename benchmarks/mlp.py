"""Time of products with GELU or a sum in their epilogue on a CUDA GPU, against PyTorch's operators.

    python benchmarks/mlp.py            # the tiles that networks use
    python benchmarks/mlp.py --sweep    # also other tiles; writes nothing

Layers are those of ConvNeXt-T's four stages for 256 images of 224 pixels, in bf16. ``rest_ms`` is
PyTorch's time of what is in the epilogue.

Writes results/measured/mlp.csv, replacing rows of the same kernel, layer and GPU.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from itertools import product
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from triton.runtime.errors import OutOfResources

from models.kernels.mlp import launch
from roadmap.tables.results import merge_rows

BATCH = 256
#: Channels and side of the feature maps.
STAGES = ((96, 56), (192, 28), (384, 14), (768, 7))
KEY = ("kernel", "rows", "channels", "device_name")
TIMED, ROUNDS = 10, 5
TILINGS = ("OF_LINEAR", "OF_GRADIENT", "OF_SUM", "OF_WIDE_SUM")
#: Bytes of shared memory of a multiprocessor, and sums that a thread can keep.
SHARED, MOST_SUMS = 227 << 10, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args()
    for channels, side in STAGES:
        rows = list(measured(BATCH * side**2, channels))
        for row in rows:
            print(*(row[name] for name in (*KEY[:3], "ms", "product_ms", "rest_ms")), sep="\t")
        if options.sweep:
            sweep(BATCH * side**2, channels)
        else:
            merge_rows("measured/mlp", KEY, rows)


def kernels(rows: int, channels: int) -> dict[str, tuple[Callable[[], object], ...]]:
    """Return by kernel: ours, PyTorch's product, and what else the kernel computes."""

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device="cuda", dtype=torch.bfloat16)

    hidden = 4 * channels
    x, weight, back, bias = (
        drawn(rows, channels),
        drawn(hidden, channels),
        drawn(channels, hidden),
        drawn(hidden),
    )
    out, slope, hidden_rows = (drawn(rows, hidden) for _ in range(3))
    shift, sums = drawn(channels), drawn(rows, channels)

    def gelu() -> Tensor:
        return F.gelu(slope)

    def linear() -> Tensor:
        return torch.addmm(bias, x, weight.t(), out=out)

    return {
        "linear_gelu": (lambda: launch.linear_gelu(x, weight, bias, out, None), linear, gelu),
        "linear_gelu_slope": (
            lambda: launch.linear_gelu(x, weight, bias, out, slope),
            linear,
            gelu,
        ),
        "linear_add": (
            lambda: launch.linear_add(hidden_rows, back, shift, shift, x),
            lambda: torch.addmm(shift, hidden_rows, back.t(), out=sums),
            lambda: torch.addcmul(x, sums, shift),
        ),
        "gelu_gradient": (
            lambda: launch.gelu_gradient(x, back, slope),
            lambda: torch.mm(x, back, out=out),
            lambda: torch.ops.aten.gelu_backward(out, slope),
        ),
    }


def measured(rows: int, channels: int) -> Iterator[dict[str, object]]:
    for kernel, functions in kernels(rows, channels).items():
        ms, product_ms, rest_ms = (round(milliseconds(function), 3) for function in functions)
        yield {
            "kernel": kernel,
            "rows": rows,
            "channels": channels,
            "ms": ms,
            "product_ms": product_ms,
            "rest_ms": rest_ms,
            "device_name": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "date": datetime.now(timezone.utc).date().isoformat(),
        }


def sweep(rows: int, channels: int) -> None:
    """Print the kernels' times with other tiles, the fastest first."""
    found = []
    for tiling in tilings():
        _forget()
        with mock.patch.multiple(launch, **dict.fromkeys(TILINGS, tiling)):
            for kernel, (ours, *_) in kernels(rows, channels).items():
                with suppress(OutOfResources):
                    found.append((kernel, round(milliseconds(ours), 3), *tiling))
    _forget()
    for row in sorted(found):
        print(*row, sep="\t", flush=True)


def tilings() -> Iterator[launch.Tiling]:
    """Return those that may fit into a multiprocessor's shared memory and registers."""
    sides, steps, numbers = (64, 128, 256), (32, 64, 128), (1, 2, 3)
    for tiling in map(
        launch.Tiling._make, product(sides, sides, steps, (4, 8), (2, 3, 4, 5), numbers)
    ):
        rows, columns, step, warps, stages, programs = tiling
        shared = 2 * (stages * (rows + columns) * step + rows * columns)
        if programs * shared <= SHARED and rows * columns <= MOST_SUMS * 32 * warps:
            yield tiling


def _forget() -> None:
    """Forget the kernels that were compiled with other tiles."""
    for made in (launch._of_linear, launch._of_sum, launch._of_gradient):
        made.cache_clear()


def milliseconds(run: Callable[[], object]) -> float:
    """Return the median time of ``run`` on the GPU."""
    for _ in range(3):
        run()
    taken = []
    for _ in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(TIMED):
            run()
        end.record()
        torch.cuda.synchronize()
        taken.append(begin.elapsed_time(end) / TIMED)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
