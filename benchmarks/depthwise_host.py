"""Processor time that a call of the depthwise convolution takes, ours and PyTorch's, on CUDA.

    python benchmarks/depthwise_host.py [--code "what was changed"]

The input is so small (1 x 96 x 14 x 14, bf16, float32 weights) that the GPU keeps up. Microseconds
per call are medians of five runs of 200 calls, without waiting for the GPU. ``operator`` calls it
as compiled networks do. Writes results/measured/depthwise_host.csv; ``--code`` names the version of
the code, and rows of other versions are kept.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone

import torch
import torch.nn.functional as F
from torch import Tensor

from models.kernels.depthwise import depthwise_conv2d
from roadmap.tables.results import merge_rows

RUNS, CALLS = 5, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--code", default="now")
    code = parser.parse_args().code
    rows = [
        {
            "code": code,
            "call": name,
            "us": round(microseconds(call), 1),
            "device_name": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "date": datetime.now(timezone.utc).date().isoformat(),
            "command": f"python benchmarks/depthwise_host.py {shlex.join(sys.argv[1:])}".strip(),
        }
        for name, call in calls().items()
    ]
    merge_rows("measured/depthwise_host", ("code", "call", "device_name"), rows)
    for row in rows:
        print(row["call"], row["us"], sep="\t")


def calls() -> dict[str, Callable[[], object]]:
    x = torch.randn(1, 96, 14, 14, device="cuda", dtype=torch.bfloat16)
    x = x.to(memory_format=torch.channels_last)
    weight, bias = torch.randn(96, 1, 7, 7, device="cuda"), torch.randn(96, device="cuda")
    operator = torch.ops.roadmap.depthwise_conv2d.default

    def ours(tensors: tuple[Tensor, ...] = (x, weight, bias)) -> Tensor:
        return depthwise_conv2d(*tensors, 1, 3)

    def torchs(tensors: tuple[Tensor, ...] = (x, weight, bias)) -> Tensor:
        given, weight, bias = tensors
        return F.conv2d(given, weight.bfloat16(), bias.bfloat16(), 1, 3, 1, 96)

    leaves = tuple(tensor.clone().requires_grad_() for tensor in (x, weight, bias))
    gradient = torch.randn_like(x)
    return {
        "ours": ours,
        "ours, as operator": lambda: operator(x, weight, bias, 1, 3),
        "torch's, with casts": torchs,
        "ours, forward with gradients": lambda: ours(leaves),
        "torch's, forward with gradients": lambda: torchs(leaves),
        "ours, forward and backward": lambda: ours(leaves).backward(gradient),
        "torch's, forward and backward": lambda: torchs(leaves).backward(gradient),
    }


def microseconds(call: Callable[[], object]) -> float:
    taken = []
    for run in range(RUNS + 1):
        begun = time.perf_counter()
        for _ in range(CALLS):
            call()
        if run:  # the first compiles the kernels
            taken.append((time.perf_counter() - begun) / CALLS)
        torch.cuda.synchronize()
    return 1e6 * statistics.median(taken)


if __name__ == "__main__":
    main()
