"""Time of inference and training on a CUDA GPU, against PyTorch's kernels and timm.

    python benchmarks/gpu.py                                             # all settings: an hour
    python benchmarks/gpu.py --ways eager --modes inference --batch-sizes 1 8 32

Networks of a setting: ConvNeXt-T of this project, the same with PyTorch's depthwise convolution,
and timm's. They take turns, a few steps each per round, since the time that launches take varies by
a factor of two on a shared host; ratios are medians over rounds of peer to ours. Ways: ``eager``,
``compiled`` (torch.compile) and ``graphs`` (its mode ``reduce-overhead``, which records CUDA
graphs; inference only).

Writes results/measured/gpu.csv, replacing rows of the same network and setting, after each setting.
"""

from __future__ import annotations

import argparse
import gc
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import product

import torch
from torch import nn

from models.kernels.depthwise.layer import SWITCH
from roadmap.measure import networks
from roadmap.measure.throughput import NUM_CLASSES, Setting, one_step
from roadmap.tables.results import merge_rows
from roadmap.train.machine import versions

OURS = "resnet50:separate_downsampling"
#: Names in the table: of our network, of the same with PyTorch's kernels, and of timm's.
NETWORKS = {
    "ours": (OURS, "own"),
    "torch's kernels": (OURS, "torch"),
    "timm": ("timm:convnext_tiny", "own"),
}
WAYS = ("eager", "compiled", "graphs")
#: Columns that identify a measurement; a new row replaces an old one.
KEY = ("network", "way", "mode", "dtype", "batch_size", "device_name")
WARM_UP = 4
#: Seconds of a turn, at least one step.
TURN = 0.05
Steps = dict[str, Callable[[], None]]


def main() -> None:
    options = _options()
    settings = product(options.ways, options.modes, options.dtypes, options.batch_sizes)
    for way, mode, dtype, batch_size in settings:
        if way == "graphs" and mode == "training":
            continue
        setting = Setting(mode=mode, device="cuda", dtype=dtype, batch_size=batch_size)
        steps = prepared(way, setting, options.networks)
        rows = table(timed(steps, options.rounds), way, setting)
        merge_rows("measured/gpu", KEY, rows)
        for row in rows:
            print(*(row[name] for name in (*KEY[:-1], "ms", "ratio")), sep="\t", flush=True)
        del steps
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--modes", nargs="+", default=("inference", "training"))
    parser.add_argument("--dtypes", nargs="+", default=("bf16", "fp16", "float32"))
    sizes = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=sizes)
    parser.add_argument("--networks", nargs="+", default=tuple(NETWORKS), choices=tuple(NETWORKS))
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


def prepared(way: str, setting: Setting, names: tuple[str, ...]) -> Steps:
    """Return the networks as functions that run one step, warmed up."""
    steps: Steps = {}
    for name in names:
        torch.manual_seed(0)
        step = one_step(_network(name, way), setting, setting.batch_size)
        for _ in range(WARM_UP):
            step()
        torch.cuda.synchronize()
        steps[name] = step
    return steps


def _network(name: str, way: str) -> nn.Module:
    which, kernels = NETWORKS[name]
    os.environ[SWITCH] = kernels
    network = networks.build(which, num_classes=NUM_CLASSES)
    if way == "eager":
        return network
    return torch.compile(network, mode="reduce-overhead" if way == "graphs" else "default")


def timed(steps: Steps, rounds: int) -> dict[str, list[float]]:
    """Return seconds per step of each network, one value a round."""
    repeats = {name: max(1, round(TURN / _turn(step, 3))) for name, step in steps.items()}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            taken[name].append(_turn(step, repeats[name]))
    return taken


def _turn(step: Callable[[], None], repeats: int) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - begun) / repeats


def table(taken: dict[str, list[float]], way: str, setting: Setting) -> list[dict[str, object]]:
    """Return a row per network; ``ratio`` is its time to ours."""
    found, ours = versions(), next(iter(taken.values()))
    return [
        {
            "network": name,
            "way": way,
            "mode": setting.mode,
            "dtype": setting.dtype,
            "batch_size": setting.batch_size,
            "ms": round(1000 * statistics.median(seconds), 3),
            "ratio": round(statistics.median(s / o for s, o in zip(seconds, ours, strict=True)), 3),
            "fastest_ms": round(1000 * min(seconds), 3),
            "rounds": len(seconds),
            "device_name": torch.cuda.get_device_name(),
            "torch": found["torch"],
            "timm": found["timm"],
            "date": datetime.now(timezone.utc).date().isoformat(),
            "command": f"python benchmarks/gpu.py {shlex.join(sys.argv[1:])}".strip(),
        }
        for name, seconds in taken.items()
    ]


if __name__ == "__main__":
    main()
