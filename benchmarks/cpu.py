"""Time of inference and training on a CPU, in both memory formats, against timm and torchvision.

The networks of a set take turns, one step each per round, so that other work on the machine slows
all of them alike; ratios are medians over rounds. Sets:

- ``convnext``: ConvNeXt-T of this project, of timm and of torchvision, at 224 pixels;
- ``pocket``: pocket networks of four steps, at 32 pixels, as the app and the notebooks train them.

    python benchmarks/cpu.py                    # on an idle machine
    python benchmarks/cpu.py --set pocket --dtypes float32 --batch-sizes 64 256
    OMP_WAIT_POLICY=passive python benchmarks/cpu.py --cpu-time --rounds 5

With ``--cpu-time``, seconds are processor time of the main thread, for a machine with other work:
torch gives that thread an equal share of each operation, so that on an idle machine it is the
elapsed time. Waiting threads must then sleep (``OMP_WAIT_POLICY=passive``).

Writes results/measured/cpu.csv, replacing rows of the same network, format and setting.
"""

from __future__ import annotations

import argparse
import gc
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import product

import torch
from torch import nn

from models import ModernResNet
from roadmap.device import device_name, versions
from roadmap.measure import networks
from roadmap.measure.throughput import NUM_CLASSES, Setting, one_step
from roadmap.steps import ROADMAPS
from roadmap.tables.results import merge_rows
from roadmap.train.pocket import IMAGE_SIZE, pocket_config

OURS = "resnet50:separate_downsampling"
PEERS = ("timm:convnext_tiny", "torchvision:convnext_tiny")
POCKET = ("training", "kernel_7", "gelu", "separate_downsampling")
SIZES = {"convnext": 224, "pocket": IMAGE_SIZE}
#: Columns that identify a measurement; a new row replaces an old one.
KEY = (
    *("network", "channels_last", "mode", "dtype", "compiled", "batch_size", "image_size"),
    *("threads", "seconds", "device_name"),
)
Steps = dict[tuple[str, bool], Callable[[], None]]


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    settings = product(options.modes, options.dtypes, options.batch_sizes)
    for mode, dtype, batch_size in settings:
        for steps, setting in _prepared(options, mode, dtype, batch_size):
            rows = _rows(_timed(steps, options), setting, options)
            merge_rows("measured/cpu", KEY, rows)
            for row in rows:
                shown = ("network", "channels_last", "mode", "dtype", "batch_size")
                print(*(row[name] for name in shown), row["ms"], row["ratio"], sep="\t", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=tuple(SIZES), default="convnext")
    parser.add_argument("--modes", nargs="+", default=("inference", "training"))
    parser.add_argument("--dtypes", nargs="+", default=("float32", "bf16"))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=(1, 2, 8, 32))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cpu-time", action="store_true")
    return parser.parse_args()


def _prepared(
    options: argparse.Namespace, mode: str, dtype: str, batch_size: int
) -> Iterator[tuple[Steps, Setting]]:
    """Yield the networks that are compared with each other, as functions that run one step."""
    for builders in _builders(options.set):
        steps: Steps = {}
        for (name, build), channels_last in product(builders.items(), (False, True)):
            setting = Setting(
                mode=mode,
                dtype=dtype,
                channels_last=channels_last,
                compiled=options.compile,
                batch_size=batch_size,
                image_size=SIZES[options.set],
            )
            torch.manual_seed(0)
            steps[name, channels_last] = one_step(build(), setting, batch_size)
        yield steps, setting
        torch._dynamo.reset()
        gc.collect()


def _builders(chosen: str) -> list[dict[str, Callable[[], nn.Module]]]:
    if chosen == "convnext":
        names = (OURS, *PEERS)
        return [{n: lambda n=n: networks.build(n, num_classes=NUM_CLASSES) for n in names}]
    configs = {key: pocket_config(ROADMAPS["resnet50"].config(key)) for key in POCKET}
    return [{f"pocket:{key}": lambda c=c: ModernResNet(c)} for key, c in configs.items()]


def _timed(steps: Steps, options: argparse.Namespace) -> dict[tuple[str, bool], list[float]]:
    clock = time.thread_time if options.cpu_time else time.perf_counter
    seconds: dict[tuple[str, bool], list[float]] = {which: [] for which in steps}
    for number in range(options.rounds + 1):
        for which, step in steps.items():
            begun = clock()
            step()
            if number:  # the first round compiles and allocates
                seconds[which].append(clock() - begun)
    return seconds


def _rows(
    seconds: dict[tuple[str, bool], list[float]], setting: Setting, options: argparse.Namespace
) -> list[dict[str, object]]:
    """Return a row per network and format; ``ratio`` is its time to that of ours in channels_last,
    which training and scoring use."""
    found, (first, *_) = versions(), seconds
    ours = seconds[first[0], True]
    return [
        {
            "network": name,
            "channels_last": channels_last,
            "mode": setting.mode,
            "dtype": setting.dtype,
            "compiled": setting.compiled,
            "batch_size": setting.batch_size,
            "image_size": setting.image_size,
            "ms": round(1000 * statistics.median(taken), 2),
            "ratio": round(statistics.median(t / o for t, o in zip(taken, ours, strict=True)), 3),
            "rounds": options.rounds,
            "threads": torch.get_num_threads(),
            "seconds": "cpu" if options.cpu_time else "wall",
            "device_name": device_name(torch.device("cpu")),
            "torch": found["torch"],
            "timm": found["timm"],
            "torchvision": found["torchvision"],
            "date": datetime.now(timezone.utc).date().isoformat(),
            "command": f"python benchmarks/cpu.py {shlex.join(sys.argv[1:])}".strip(),
        }
        for (name, channels_last), taken in seconds.items()
    ]


if __name__ == "__main__":
    main()
