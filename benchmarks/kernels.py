"""Check the depthwise kernels against float64 on a CUDA GPU and compare their speed with PyTorch's.

    python benchmarks/kernels.py [--only kernels|networks]

Writes ``measured/kernels-h200``: one row per operation, kernel size, stride and shape of
ConvNeXt-T's stages, then one row per network and mode. Ours and PyTorch's are timed in the same
process, one after the other. Kernels are timed by replaying a CUDA graph, which excludes Python's
time; networks in the faster of eager and compiled. Milliseconds are medians. A wrong result ends
the script. Each row is written at once; other existing rows are kept.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable
from datetime import date
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.depthwise import plans
from models.kernels.depthwise.layer import SWITCH
from roadmap import ROADMAPS
from roadmap.measure import networks
from roadmap.measure.throughput import Setting, measure
from roadmap.tables.results import merge_rows

BATCH = 256
STAGES = ((96, 56), (192, 28), (384, 14), (768, 7))  # channels and side, at 224 pixels
SIZES = (3, 5, 7, 9, 11)
TABLE = "measured/kernels-h200"
KEY = ("what", "shape", "kernel_size", "stride", "device_name")
MODES = ("training", "inference")
#: Our step, and the network that it is compared with (the same one, under another name).
NETWORKS = (
    ("separate_downsampling", "timm:convnext_tiny"),
    ("kernel_11", "resnet50:kernel_11"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("kernels", "networks"))
    only = parser.parse_args().only
    if only != "networks":
        for size, stride, stage in itertools.product(SIZES, (1, 2), STAGES):
            merge_rows(TABLE, KEY, timed_kernels(*stage, size, stride))
    if only != "kernels":
        for pair, mode in itertools.product(NETWORKS, MODES):
            merge_rows(TABLE, KEY, [timed_networks(*pair, mode)])


# Single kernels


def timed_kernels(channels: int, side: int, size: int, stride: int) -> list[dict[str, object]]:
    def drawn(*shape: int) -> Tensor:
        values = torch.randn(shape, device="cuda", dtype=torch.bfloat16)
        return values.contiguous(memory_format=torch.channels_last)

    pad, out = size // 2, (side - 1) // stride + 1
    x, gradient = drawn(BATCH, channels, side, side), drawn(BATCH, channels, out, out)
    weight = drawn(channels, 1, size, size)
    wide = {"stride": stride, "padding": pad, "groups": channels}

    def theirs(mask: tuple, kind: torch.dtype = torch.bfloat16) -> Tensor:
        tensors = gradient.to(kind), x.to(kind), weight.to(kind)
        return next(g for g in backward(*tensors, stride, pad, mask) if g is not None)

    by_input, by_weight = (True, False, False), (False, True, False)
    both: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor], Callable[[], Tensor]]] = {
        "forward": (
            lambda: plans.convolved(x, weight, None, stride, pad),
            lambda: F.conv2d(x, weight, **wide),
            lambda: F.conv2d(x.double(), weight.double(), **wide),
        ),
        "input_gradient": (
            lambda: plans.input_gradient(gradient, weight, side, side, stride, pad),
            lambda: theirs(by_input),
            lambda: theirs(by_input, torch.float64),
        ),
        "weight_gradient": (
            lambda: plans.weight_gradient(gradient, x, size, stride, pad)[0],
            lambda: theirs(by_weight),
            lambda: theirs(by_weight, torch.float64),
        ),
    }
    rows = []
    for what, (ours, torchs, exact) in both.items():
        error = relative_error(ours(), exact())
        assert error < 1e-2, (what, channels, size, stride, error)
        rows.append(
            row(what, f"{BATCH}x{channels}x{side}x{side}", size, stride)
            | compared(median_ms(ours), median_ms(torchs))
            | {"error": f"{error:.1e}"}
        )
        show(rows[-1])
    return rows


def backward(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, pad: int, mask: tuple
) -> tuple:
    ones, strides, pads = [1, 1], [stride, stride], [pad, pad]
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, strides, pads, ones, False, [0, 0], x.shape[1], mask
    )


def relative_error(found: Tensor, exact: Tensor) -> float:
    return ((found.double() - exact).abs().max() / exact.abs().max()).item()


def median_ms(run: Callable[[], Tensor]) -> float:
    """Return the median time of ``run`` over replays of a CUDA graph, fewer if it is slow."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            run()
        stream.synchronize()
        once = seconds(run, stream)
    torch.cuda.current_stream().wait_stream(stream)
    runs, replays = (5, 20) if once < 2e-3 else (1, 10)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(runs):
            run()
    graph.replay()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(replays + 1)]
    marks[0].record()
    for mark in marks[1:]:
        graph.replay()
        mark.record()
    torch.cuda.synchronize()
    times = [before.elapsed_time(after) for before, after in itertools.pairwise(marks)]
    return statistics.median(times) / runs


def seconds(run: Callable[[], Tensor], stream: torch.cuda.Stream) -> float:
    start = time.perf_counter()
    run()
    stream.synchronize()
    return time.perf_counter() - start


# Networks


def timed_networks(step: str, other: str, mode: str) -> dict[str, object]:
    """Time ``step`` with our kernels and ``other`` with PyTorch's, in training or inference."""
    ours, our_way = fastest("own", f"resnet50:{step}", mode)
    theirs, their_way = fastest("torch", other, mode)
    found = row(mode, f"{step} ({our_way}) / {other} ({their_way})") | compared(ours, theirs)
    show(found)
    return found


@cache
def fastest(choice: str, name: str, mode: str) -> tuple[float, str]:
    """Return milliseconds per step, and whether eager or compiled."""
    found = []
    for compiled in (False, True):
        torch.compiler.reset()
        setting = Setting(
            mode=mode, device="cuda", dtype="bf16", compiled=compiled, batch_size=BATCH
        )
        measured = measure(lambda: network(choice, name), setting)
        found.append(
            (1000 * statistics.median(measured.seconds), "compiled" if compiled else "eager")
        )
        print(choice, name, mode, *found[-1], flush=True)
    return min(found)


def network(choice: str, name: str) -> nn.Module:
    os.environ[SWITCH] = choice
    roadmap, _, step = name.partition(":")
    return ROADMAPS[roadmap].build(step) if roadmap in ROADMAPS else networks.build(name)


def row(what: str, shape: str, size: int | str = "", stride: int | str = "") -> dict[str, object]:
    return {
        "what": what,
        "shape": shape,
        "kernel_size": size,
        "stride": stride,
        "ours_ms": "",
        "torch_ms": "",
        "ratio": "",
        "error": "",
        "device_name": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "date": date.today().isoformat(),
    }


def compared(ours: float, theirs: float) -> dict[str, float]:
    return {
        "ours_ms": round(ours, 4),
        "torch_ms": round(theirs, 4),
        "ratio": round(theirs / ours, 2),
    }


def show(found: dict[str, object]) -> None:
    print(*(found[name] for name in ("what", "shape", "kernel_size", "stride")), end=" ")
    print(*(found[name] for name in ("ours_ms", "torch_ms", "ratio")), flush=True)


if __name__ == "__main__":
    main()
