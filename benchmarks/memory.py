"""Peak memory of a forward pass for networks of every size, each in its own process.

``python benchmarks/memory.py`` writes ``results/measured/memory.csv``. In a single process, a
network would reuse memory that the previous one freed. Each process first runs a small network, so
that memory for loading libraries is not counted.
"""

from __future__ import annotations

import csv
import os
import platform
import sys
from datetime import date

import timm
import torch
from torch import nn

from roadmap.measure import throughput
from roadmap.tables.results import RESULTS
from roadmap.tables.sizes import MEASURED

BATCH = 4
SIZES = (224, 384)
#: Memory needs no repetitions.
throughput.MIN_REPETITIONS, throughput.WARM_UP = 1, 2


def first() -> nn.Module:
    """Return a network with one layer of each kind."""
    convolutions = (nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 7, groups=8, padding=3))
    rest = (nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 30 * 30, 9), nn.LayerNorm(9), nn.GELU())
    return nn.Sequential(*convolutions, *rest)


def setting(batch_size: int, image_size: int) -> throughput.Setting:
    return throughput.Setting(
        mode="inference", device="cpu", batch_size=batch_size, image_size=image_size, repetitions=1
    )


def measure(source: str, name: str, image_size: int) -> None:
    """Measure one network and write a row to standard output; runs in a child process."""
    throughput.measure(first, setting(1, 32))
    found = throughput.measure(f"{source}:{name}", setting(BATCH, image_size))
    row = (source, name, "inference", "cpu", found.device_name, "float32", found.batch_size)
    versions = (torch.__version__.split("+")[0], timm.__version__, platform.python_version())
    peak = f"{found.peak_memory_gb:.3f}"
    csv.writer(sys.stdout).writerow((*row, image_size, peak, *versions, date.today()))
    sys.stdout.flush()


def networks() -> list[tuple[str, str, int]]:
    """Return every network with the image sizes that it accepts."""
    return [
        (source, name, size)
        for source, name in MEASURED
        for size in SIZES
        if not name.startswith("swin") or name.endswith(str(size))
    ]


def main() -> None:
    path = RESULTS / "measured" / "memory.csv"
    head = "source,name,mode,device,device_name,dtype,batch_size,image_size,peak_memory_gb"
    with path.open("w") as file:
        file.write(f"{head},torch,timm,python,date\n")
        file.flush()
        for network in networks():
            child = os.fork()
            if not child:
                os.dup2(file.fileno(), 1)
                measure(*network)
                os._exit(0)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main()
