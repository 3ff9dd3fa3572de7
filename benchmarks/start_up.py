"""Times the start of commands, next to the libraries that they cannot do without.

    python benchmarks/start_up.py     # writes results/measured/start_up.csv

Each command runs in a process of its own, in turns with the others. The seconds are processor time
(user and system), which other work on the machine changes little, and time by the clock; both are
medians.
"""

from __future__ import annotations

import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch

from roadmap.device import device_name, versions
from roadmap.tables.results import write_rows

ROUNDS = 5
POCKET = ("train", "--scale", "pocket", "--epochs", "1", "--step", "training", "--device", "cpu")
COMMANDS = {
    "import typer": ("-c", "import typer"),
    "modernizing-resnet --help": ("-m", "roadmap", "--help"),
    "modernizing-resnet steps": ("-m", "roadmap", "steps"),
    "import torch, its compiler, torchvision, timm": (
        "-c",
        "import torch._dynamo, torchvision, timm.optim",
    ),
    "one epoch of a pocket run": ("-m", "roadmap", *POCKET),
}


def seconds(arguments: tuple[str, ...]) -> tuple[float, float]:
    """Run Python with ``arguments``; return processor seconds and seconds by the clock."""
    with tempfile.TemporaryDirectory() as folder:
        if POCKET[0] in arguments:
            arguments = (*arguments, "--output", f"{folder}/run")
        before, begun = os.times(), time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return used, time.perf_counter() - begun


def main() -> None:
    rounds = [{name: seconds(line) for name, line in COMMANDS.items()} for _ in range(ROUNDS)]
    found = versions()
    rows = []
    for name in COMMANDS:
        used, clock = (statistics.median(one[name][i] for one in rounds) for i in (0, 1))
        print(f"{used:.2f}\t{clock:.2f}\t{name}")
        rows.append(
            {
                "command": name,
                "processor_s": round(used, 2),
                "clock_s": round(clock, 2),
                "rounds": ROUNDS,
                "device_name": device_name(torch.device("cpu")),
                "python": found["python"],
                "torch": found["torch"],
                "date": datetime.date.today().isoformat(),
            }
        )
    write_rows("measured/start_up", rows)


if __name__ == "__main__":
    main()
