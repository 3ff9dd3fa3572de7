"""Time of the fused products with GELU on a CUDA GPU, against PyTorch's product and GELU.

    python benchmarks/mlp.py            # the tiles that networks use
    python benchmarks/mlp.py --sweep    # also other tiles; writes nothing

Layers are those of ConvNeXt-T's four stages for 256 images of 224 pixels, in bf16.

Writes results/measured/mlp.csv, replacing rows of the same kernel, layer and GPU.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import product
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from models.kernels.mlp import launch
from roadmap.tables.results import merge_rows

BATCH = 256
#: Channels and side of the feature maps.
STAGES = ((96, 56), (192, 28), (384, 14), (768, 7))
KEY = ("kernel", "rows", "channels", "device_name")
TIMED, ROUNDS = 10, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args()
    for channels, side in STAGES:
        rows = list(measured(BATCH * side**2, channels))
        for row in rows:
            print(*(row[name] for name in (*KEY[:3], "ms", "product_ms", "gelu_ms")), sep="\t")
        if options.sweep:
            sweep(BATCH * side**2, channels)
        else:
            merge_rows("measured/mlp", KEY, rows)


def kernels(rows: int, channels: int) -> dict[str, tuple[Callable[[], object], ...]]:
    """Return by kernel: ours, PyTorch's product alone and its GELU alone."""

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device="cuda", dtype=torch.bfloat16)

    hidden = 4 * channels
    x, weight, back, bias = (
        drawn(rows, channels),
        drawn(hidden, channels),
        drawn(channels, hidden),
        drawn(hidden),
    )
    out, slope = drawn(rows, hidden), drawn(rows, hidden)

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
        "gelu_gradient": (
            lambda: launch.gelu_gradient(x, back, slope),
            lambda: torch.mm(x, back, out=out),
            lambda: torch.ops.aten.gelu_backward(out, slope),
        ),
    }


def measured(rows: int, channels: int) -> Iterator[dict[str, object]]:
    for kernel, functions in kernels(rows, channels).items():
        ms, product_ms, gelu_ms = (round(milliseconds(function), 3) for function in functions)
        yield {
            "kernel": kernel,
            "rows": rows,
            "channels": channels,
            "ms": ms,
            "product_ms": product_ms,
            "gelu_ms": gelu_ms,
            "device_name": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "date": datetime.now(timezone.utc).date().isoformat(),
        }


def sweep(rows: int, channels: int) -> None:
    """Print the kernels' times with other tiles, the fastest first."""
    found = []
    for step, warps, stages in product((32, 64), (4, 8), (2, 3, 4)):
        tile = {"STEP": step, "num_warps": warps, "num_stages": stages}
        _forget()
        with mock.patch.multiple(launch, OF_LINEAR=tile, OF_GRADIENT=tile):
            for kernel, (ours, *_) in kernels(rows, channels).items():
                found.append((kernel, round(milliseconds(ours), 3), *tile.values()))
    _forget()
    for row in sorted(found):
        print(*row, sep="\t", flush=True)


def _forget() -> None:
    """Forget the kernels that were compiled with other tiles."""
    launch._of_linear.cache_clear()
    launch._of_gradient.cache_clear()


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
