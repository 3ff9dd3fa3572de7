"""Time of 1x1 convolutions as convolutions and as matrix products, layer by layer.

    OMP_WAIT_POLICY=passive python benchmarks/pointwise.py                 # this CPU
    python benchmarks/pointwise.py --device cuda --batch-sizes 1 8 32 256

Layers are those of ConvNeXt-T's blocks at 224 pixels and those of its last stages at small images;
the two ways take turns. On a CPU, seconds are processor time of the main thread, which other work
on the machine changes little (see cpu.py).

Writes results/measured/pointwise.csv, replacing rows of the same layer and setting.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from roadmap.device import DTYPES, device_name
from roadmap.tables.results import merge_rows

#: Channels of a block and the side of its feature maps.
STAGES = ((96, 56), (192, 28), (384, 14), (768, 7), (384, 4), (768, 2))
KEY = (
    *("mode", "dtype", "batch_size", "inputs", "outputs", "side", "threads", "device_name"),
    "torch",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--modes", nargs="+", default=("inference", "training"))
    parser.add_argument("--dtypes", nargs="+", default=("float32", "bf16"))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=(1, 8, 32))
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    for mode, dtype, batch_size in product(options.modes, options.dtypes, options.batch_sizes):
        rows = [
            measured(mode, dtype, batch_size, *layer, side, options)
            for channels, side in STAGES
            for layer in ((channels, 4 * channels), (4 * channels, channels))
        ]
        merge_rows("measured/pointwise", KEY, rows)
        print(mode, dtype, batch_size, *(row["ratio"] for row in rows), flush=True)


def measured(
    mode: str,
    dtype: str,
    batch_size: int,
    inputs: int,
    outputs: int,
    side: int,
    options: argparse.Namespace,
) -> dict[str, object]:
    """Return a row; ``ratio`` is the convolution's time to the product's."""
    device = torch.device(options.device)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=DTYPES[dtype], device=device)

    x = drawn(batch_size, inputs, side, side).to(memory_format=torch.channels_last)
    weight, bias = drawn(outputs, inputs, 1, 1), drawn(outputs)
    gradient = drawn(batch_size, outputs, side, side).to(memory_format=torch.channels_last)
    training = mode == "training"
    for tensor in (x, weight, bias):
        tensor.requires_grad_(training)

    def step(layer: Callable[[], Tensor]) -> None:
        with torch.set_grad_enabled(training):
            y = layer()
            if training:
                torch.autograd.grad(y, (x, weight, bias), gradient)

    def as_product() -> Tensor:
        rows = F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias)
        return rows.permute(0, 3, 1, 2)

    ways = (lambda: step(lambda: F.conv2d(x, weight, bias)), lambda: step(as_product))
    convolution, as_rows = timed(ways, device, options.rounds)
    return {
        "mode": mode,
        "dtype": dtype,
        "batch_size": batch_size,
        "inputs": inputs,
        "outputs": outputs,
        "side": side,
        "convolution_ms": round(1000 * convolution, 4),
        "product_ms": round(1000 * as_rows, 4),
        "ratio": round(convolution / as_rows, 2),
        "rounds": options.rounds,
        "threads": torch.get_num_threads() if device.type == "cpu" else "",
        "device_name": device_name(device),
        "torch": torch.__version__,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "command": f"python benchmarks/pointwise.py {shlex.join(sys.argv[1:])}".strip(),
    }


def timed(
    ways: tuple[Callable[[], None], ...], device: torch.device, rounds: int
) -> tuple[float, ...]:
    """Return the median seconds of each way; the first round chooses algorithms."""
    cuda = device.type == "cuda"
    clock = time.perf_counter if cuda else time.thread_time
    seconds: list[list[float]] = [[] for _ in ways]
    for number in range(rounds + 1):
        for taken, way in zip(seconds, ways, strict=True):
            begun = clock()
            way()
            if cuda:
                torch.cuda.synchronize()
            if number:
                taken.append(clock() - begun)
    return tuple(map(statistics.median, seconds))


if __name__ == "__main__":
    main()
