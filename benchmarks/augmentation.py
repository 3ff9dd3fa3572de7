"""Time to create a batch of augmented images, by part of the pipeline.

    python benchmarks/augmentation.py --data DATA --image-size 128 --batch-size 512

``host`` is the time until all work is launched, ``device`` the time until it is done; medians in
milliseconds. On CUDA, training overlaps both with the previous step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from roadmap.measure.throughput import best_device
from roadmap.recipes import RECIPES
from roadmap.train.data import augment, operations
from roadmap.train.data.batches import Data, open_data
from roadmap.train.data.sources import open_source

#: Functions of the pipeline, in its order.
PARTS = (
    (augment, "resample"),
    (operations, "apply"),
    (augment, "normalize"),
    (augment, "erase"),
    (augment, "mix"),
)


def main() -> None:
    arguments = parse()
    size = arguments.image_size
    recipe = RECIPES[arguments.recipe].replace(
        train_size=size, test_size=size, test_resize=round(size * 8 / 7)
    )
    device = torch.device(arguments.device or best_device())
    begun = time.perf_counter()
    opened = open_data(open_source(arguments.data), recipe, device=device, seed=0)
    print(f"{opened.info.name}: opened in {time.perf_counter() - begun:.1f} s")
    times = measure(opened, arguments.batch_size, arguments.batches)
    count = arguments.batch_size
    print(f"{arguments.recipe}, {count} images of {size} pixels on {device.type}")
    for name, pairs in times.items():
        host, device_time = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name:>10}: host {host:7.2f} ms, device {device_time:7.2f} ms")
    seconds = statistics.median(pair[1] for pair in times["batch"])
    print(f"{count / seconds:,.0f} images/s")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the data [default: digits]")
    parser.add_argument("--recipe", default="convnext", choices=list(RECIPES))
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--device")
    return parser.parse_args()


def measure(opened: Data, batch_size: int, count: int) -> dict[str, list[tuple[float, float]]]:
    """Return (host, device) seconds of ``count`` batches and their parts, after two warm-ups."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for _, name in PARTS} | {"batch": []}
    for index, batch in enumerate(batches(opened, batch_size)):
        times["batch"].append(batch)
        if index == count + 1:
            break
    with timed_parts(times, opened.device):
        for index, _ in enumerate(batches(opened, batch_size)):
            if index == count + 1:
                break
    return {name: pairs[2:] for name, pairs in times.items() if pairs}


def batches(opened: Data, batch_size: int) -> Iterator[tuple[float, float]]:
    """Yield (host, device) seconds of each batch, created without prefetching."""
    epoch = 0
    while True:
        steps = range(opened.steps_per_epoch(batch_size))
        made = opened._train_batches(opened._plans(epoch, batch_size, steps, 0, 1))
        for _ in steps:
            yield clock(lambda made=made: next(made), opened.device)[1]
        epoch += 1


def clock(work: Callable, device: torch.device) -> tuple:
    """Return the result of ``work`` and its (host, device) seconds."""
    synchronize(device)
    begun = time.perf_counter()
    result = work()
    host = time.perf_counter() - begun
    synchronize(device)
    return result, (host, time.perf_counter() - begun)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def timed_parts(times: dict[str, list[tuple[float, float]]], device: torch.device):
    """Record the times of each function of ``PARTS``."""
    kept = [(module, name, getattr(module, name)) for module, name in PARTS]
    for module, name, function in kept:

        def timed(*given, function=function, name=name, **options):
            result, pair = clock(lambda: function(*given, **options), device)
            times[name].append(pair)
            return result

        setattr(module, name, timed)
    try:
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


if __name__ == "__main__":
    main()
