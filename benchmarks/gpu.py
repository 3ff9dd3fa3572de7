"""Time of inference and training on a CUDA GPU, against PyTorch's kernels and timm.

    python benchmarks/gpu.py                                             # all settings
    python benchmarks/gpu.py --ways eager --modes inference --batch-sizes 1 8 32

Networks of a setting: ConvNeXt-T of this project, the same with PyTorch's depthwise convolution,
and timm's. They take turns, a few steps each per round, since the time that launches take varies by
a factor of two on a shared host; ratios are medians over rounds of peer to ours. Ways: ``eager``,
``compiled`` (torch.compile) and ``graphs`` (its mode ``reduce-overhead``, which records CUDA
graphs, in training those of forward and backward pass).

Each setting has a process of its own. ``--at-once`` of them compile side by side; when all have
compiled, one after the other is timed alone on its GPU.

Writes results/measured/gpu.csv, replacing rows of the same network and setting, after each setting.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from datetime import datetime, timezone
from itertools import product
from typing import Any

import torch
from torch import nn

from models.kernels.depthwise.layer import SWITCH
from roadmap.device import versions
from roadmap.measure import networks
from roadmap.measure.throughput import NUM_CLASSES, Setting, one_step
from roadmap.tables.results import merge_rows

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
#: Read when torch.compile is first used, and before CUDA is asked for its devices: a process that
#: uses CUDA cannot be forked.
ENVIRONMENT = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
Steps = dict[str, Callable[[], None]]
Job = tuple[str, Setting]

#: Of a process: where all wait until all have compiled, and a lock per GPU.
_barrier: Any
_turns: list[Any]


def main() -> None:
    options = _options()
    os.environ |= ENVIRONMENT
    if not torch.cuda.device_count():
        sys.exit("there is no CUDA GPU; python benchmarks/cpu.py measures on the CPU")
    jobs = [
        (way, Setting(mode=mode, device="cuda", dtype=dtype, batch_size=batch_size))
        for way, mode, dtype, batch_size in product(
            options.ways, options.modes, options.dtypes, options.batch_sizes
        )
    ]
    failed = 0
    for first in range(0, len(jobs), options.at_once):
        for job, rows in _measured(jobs[first : first + options.at_once], options):
            failed += not _kept(job, rows)
    if failed:
        sys.exit(f"{failed} of {len(jobs)} settings failed")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--modes", nargs="+", default=("inference", "training"))
    parser.add_argument("--dtypes", nargs="+", default=("bf16", "fp16", "float32"))
    sizes = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=sizes)
    parser.add_argument("--networks", nargs="+", default=tuple(NETWORKS), choices=tuple(NETWORKS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--at-once", type=int, default=os.cpu_count())
    return parser.parse_args()


def _measured(
    jobs: list[Job], options: argparse.Namespace
) -> Iterator[tuple[Job, Future[list[dict[str, object]]]]]:
    fork = multiprocessing.get_context("fork")  # torch is imported
    turns = [fork.Lock() for _ in range(torch.cuda.device_count())]
    shared = (fork.Barrier(len(jobs)), turns)
    with ProcessPoolExecutor(len(jobs), fork, _share, shared) as pool:
        asked = {
            pool.submit(_measure, place % len(turns), *job, options.networks, options.rounds): job
            for place, job in enumerate(jobs)
        }
        for future in as_completed(asked):
            yield asked[future], future


def _kept(job: Job, rows: Future[list[dict[str, object]]]) -> bool:
    way, setting = job
    where = (way, setting.mode, setting.dtype, setting.batch_size)
    try:
        merge_rows("measured/gpu", KEY, rows.result())
    except Exception as error:  # out of memory, or the compiler's own
        reason = str(error).partition("\n")[0]
        print(*where, f"failed: {reason}", sep="\t", flush=True)
        return False
    for row in rows.result():
        print(row["network"], *where, row["ms"], row["ratio"], sep="\t", flush=True)
    return True


def _share(barrier: Any, turns: list[Any]) -> None:
    global _barrier, _turns
    _barrier, _turns = barrier, turns


def _measure(
    gpu: int, way: str, setting: Setting, names: tuple[str, ...], rounds: int
) -> list[dict[str, object]]:
    torch.cuda.set_device(gpu)
    try:
        steps = prepared(way, setting, names) if way != "eager" else {}
        torch.cuda.empty_cache()
    finally:
        _barrier.wait()
    with _turns[gpu]:
        return table(timed(steps or prepared(way, setting, names), rounds), way, setting)


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
