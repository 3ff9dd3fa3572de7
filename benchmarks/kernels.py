"""The depthwise kernels on a CUDA GPU: compiled, checked against float64, timed beside PyTorch.

    python benchmarks/kernels.py [--no-networks]

Writes ``measured/kernels-h200``: a row for each operation of each shape of ConvNeXt-T's stages and
kernel size, then one for each network and mode. Both of a row are timed in the same process, one
after the other, with device events; milliseconds are medians. Check first: a kernel that is wrong
ends the script.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
from collections.abc import Callable
from datetime import date

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.depthwise import operator
from models.depthwise.layer import SWITCH
from roadmap import ROADMAPS
from roadmap.measure import networks
from roadmap.measure.throughput import Setting, measure
from roadmap.results import write_rows

BATCH = 256
STAGES = ((96, 56), (192, 28), (384, 14), (768, 7))  # channels and side, at 224 pixels
SIZES = (3, 5, 7, 9, 11)
MODES = ("training", "inference")
#: Our network, and what it is compared with: another name of it, or another network.
NETWORKS = (
    ("separate_downsampling", "timm:convnext_tiny"),
    ("separate_downsampling", "resnet50:separate_downsampling"),
    ("kernel_7", "resnet50:kernel_7"),
    ("kernel_11", "resnet50:kernel_11"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-networks", action="store_true", help="single kernels only")
    options = parser.parse_args()
    rows = [row for size in SIZES for stage in STAGES for row in timed_kernels(*stage, size)]
    if not options.no_networks:
        rows += [timed_networks(*pair, mode) for pair in NETWORKS for mode in MODES]
    write_rows("measured/kernels-h200", rows)


# Single kernels


def timed_kernels(channels: int, side: int, size: int) -> list[dict[str, object]]:
    def drawn(*shape: int) -> Tensor:
        values = torch.randn(shape, device="cuda", dtype=torch.bfloat16)
        return values.contiguous(memory_format=torch.channels_last)

    shape, pad = (BATCH, channels, side, side), size // 2
    x, gradient, weight = drawn(*shape), drawn(*shape), drawn(channels, 1, size, size)
    wide = {"stride": 1, "padding": pad, "groups": channels}
    both: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
        "forward": (
            lambda: operator.convolved(x, weight, None, 1, pad),
            lambda: F.conv2d(x, weight, **wide),
        ),
        "input_gradient": (
            lambda: operator.input_gradient(gradient, weight, side, side, 1, pad),
            lambda: backward(gradient, x, weight, pad, (True, False, False))[0],
        ),
        "weight_gradient": (
            lambda: operator.weight_gradient(gradient, x, size, 1, pad)[0],
            lambda: backward(gradient, x, weight, pad, (False, True, False))[1],
        ),
    }
    exact = {
        "forward": F.conv2d(x.double(), weight.double(), **wide),
        "input_gradient": backward(
            gradient.double(), x.double(), weight.double(), pad, (True, False, False)
        )[0],
        "weight_gradient": backward(
            gradient.double(), x.double(), weight.double(), pad, (False, True, False)
        )[1],
    }
    rows = []
    for what, (ours, theirs) in both.items():
        error = relative_error(ours(), exact[what])
        assert error < 1e-2, (what, channels, size, error)
        place = f"{BATCH}x{channels}x{side}x{side}"
        times = median_ms(ours), median_ms(theirs)
        rows.append(row(what, place, size, *times, f"{error:.1e}"))
        show(rows[-1])
    return rows


def backward(gradient: Tensor, x: Tensor, weight: Tensor, pad: int, mask: tuple) -> tuple:
    ones, channels = [1, 1], x.shape[1]
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, ones, [pad, pad], ones, False, [0, 0], channels, mask
    )


def relative_error(found: Tensor, exact: Tensor) -> float:
    return ((found.double() - exact).abs().max() / exact.abs().max()).item()


def median_ms(run: Callable[[], Tensor], repetitions: int = 20) -> float:
    for _ in range(5):
        run()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repetitions + 1)]
    marks[0].record()
    for mark in marks[1:]:
        run()
        mark.record()
    torch.cuda.synchronize()
    return statistics.median(
        before.elapsed_time(after) for before, after in itertools.pairwise(marks)
    )


# Networks


def timed_networks(step: str, other: str, mode: str) -> dict[str, object]:
    """A training or inference step with our kernels and of ``other`` with PyTorch's, each in the
    faster of eager and compiled."""
    ours, our_way = fastest(lambda: network("own", f"resnet50:{step}"), mode)
    theirs, their_way = fastest(lambda: network("torch", other), mode)
    found = row(mode, f"{step} ({our_way}) / {other} ({their_way})", "", ours, theirs, "")
    show(found)
    return found


def network(choice: str, name: str) -> nn.Module:
    os.environ[SWITCH] = choice
    roadmap, _, step = name.partition(":")
    return ROADMAPS[roadmap].build(step) if roadmap in ROADMAPS else networks.build(name)


def fastest(build: Callable[[], nn.Module], mode: str) -> tuple[float, str]:
    """Milliseconds a step, and how."""
    found = []
    for compiled in (False, True):
        torch.compiler.reset()
        setting = Setting(
            mode=mode, device="cuda", dtype="bf16", compiled=compiled, batch_size=BATCH
        )
        seconds = statistics.median(measure(build, setting).seconds)
        found.append((1000 * seconds, "compiled" if compiled else "eager"))
    return min(found)


def row(
    what: str, shape: str, size: int | str, ours: float, theirs: float, error: str
) -> dict[str, object]:
    return {
        "what": what,
        "shape": shape,
        "kernel_size": size,
        "ours_ms": round(ours, 4),
        "torch_ms": round(theirs, 4),
        "ratio": round(theirs / ours, 2),
        "error": error,
        "device_name": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "date": date.today().isoformat(),
    }


def show(found: dict[str, object]) -> None:
    print(*found.values(), flush=True)


if __name__ == "__main__":
    main()
