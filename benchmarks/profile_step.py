"""Time of a training step on a CUDA GPU by kernel.

    python benchmarks/profile_step.py [--network resnet50:separate_downsampling] [--eager]
        [--code "what was changed"]

Writes ``measured/profile-h200``: milliseconds and launches per step for each group of kernels, with
PyTorch's depthwise convolution and with ours, from torch's profiler, compiled unless ``--eager``.
``--code`` names the version of the code; rows of other versions are kept.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from datetime import date

import torch
from kernels import BATCH, network
from torch.profiler import ProfilerActivity, profile

from roadmap.measure.throughput import Setting, _training_step
from roadmap.tables.results import merge_rows

STEPS = 5
#: A kernel is in the first group whose pattern its name matches.
GROUPS = {
    "depthwise convolution": "_strips$|_tiles$|_positions$|pack$|depthwise|2d_c1_k1|2d_grouped",
    "dense convolution": "implicit_gemm|convolve_common",
    "matrix products": "nvjet|gemm|cutlass|splitKreduce",
    "optimizer": "multi_tensor|fused_adam|foreach",
    "GELU": "gelu",
    "layer norm": "layer_norm",
    "copies": "copy_kernel",
    "other compiled": "^triton",
}
OTHER = "other"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet50:separate_downsampling")
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--code", default="now")
    options = parser.parse_args()
    rows = []
    for choice in ("torch", "own"):
        torch.compiler.reset()
        times, launches, longest = profiled(choice, options.network, compiled=not options.eager)
        for group in (*GROUPS, OTHER):
            rows.append(
                {
                    "code": options.code,
                    "network": options.network,
                    "way": "eager" if options.eager else "compiled",
                    "depthwise": choice,
                    "kernels": group,
                    "ms": round(times[group], 3),
                    "launches": round(launches[group]),
                    "device_name": torch.cuda.get_device_name(),
                    "torch": torch.__version__,
                    "date": date.today().isoformat(),
                }
            )
            print(choice, group, rows[-1]["ms"], rows[-1]["launches"], flush=True)
        print("total", round(sum(times.values()), 2))
        for name, ms in longest:
            print(f"  {ms:7.3f}  {name[:150]}")
    merge_rows("measured/profile-h200", ("code", "network", "way", "depthwise", "kernels"), rows)


def profiled(
    choice: str, name: str, *, compiled: bool
) -> tuple[Counter, Counter, list[tuple[str, float]]]:
    """Return milliseconds and launches per step by group, and the slowest kernels."""
    setting = Setting(
        mode="training", device="cuda", dtype="bf16", compiled=compiled, batch_size=BATCH
    )
    net = network(choice, name).cuda().to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 3, 224, 224, device="cuda")
    step = _training_step(net, images.to(memory_format=torch.channels_last), setting)
    for _ in range(5):
        step()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        for _ in range(STEPS):
            step()
        torch.cuda.synchronize()
    times, launches, kernels = Counter(), Counter(), []
    for event in found.key_averages():
        ms = event.self_device_time_total / 1000 / STEPS
        if not ms:
            continue
        times[group_of(event.key)] += ms
        launches[group_of(event.key)] += event.count / STEPS
        kernels.append((f"{event.count / STEPS:.0f} x {event.key}", ms))
    return times, launches, sorted(kernels, key=lambda kernel: -kernel[1])[:45]


def group_of(kernel: str) -> str:
    return next((group for group, names in GROUPS.items() if re.search(names, kernel)), OTHER)


if __name__ == "__main__":
    main()
