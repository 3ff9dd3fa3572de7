"""The section on initialization of the Method page, from networks and trained runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import sqrt
from statistics import fmean
from typing import NamedTuple

from models.spec import Conv, LayerScale, NetworkSpec, Norm, network_spec
from roadmap.runs import Run, judged_by, read_run
from roadmap.steps import ROADMAPS
from roadmap.tables import results
from roadmap.text import counted, number

ROADMAP = ROADMAPS["resnet50"]
#: Data and learning rates of the check; the first rate is that of the roadmap's runs.
DATA, RATES, SEEDS = "tiny-imagenet-100", ("0.002", "0.004"), (0, 1, 2)
STEPS = ("gelu", "fewer_activations", "fewer_norms", "layer_norm", "separate_downsampling")
HEAD = ("Step", f"Table 5, {RATES[0]}", *(f"PyTorch, {rate}" for rate in RATES))


class InitRow(NamedTuple):
    """A step's top-1 in percent: the mean of its runs, and the check's at ``RATES``."""

    step: str
    path: float
    low: float
    high: float


def networks() -> list[str]:
    """Describe the authors' initialization and ours, and how the last step differs."""
    first = network_spec(ROADMAP.config("layer_norm"))
    stem, depthwise = (
        next(layer for layer in layers if isinstance(layer, Conv) and layer.kernel_size > 1)
        for layers in (first.stem, first.stages[0].blocks[0].branch)
    )
    last = network_spec(ROADMAP.config("separate_downsampling"))
    lacking = sum(layer.parameters for layer in _added(last))
    return [
        "The authors' published commands for the steps keep PyTorch's default initialization in "
        "every network. It is uniform, with a standard deviation that depends on the fan-in: "
        f"{number(_deviation(stem), 3)} in the {_size(stem)} convolution of the stem, "
        f"{number(_deviation(depthwise), 3)} in a depthwise {_size(depthwise)} convolution. "
        "Biases are not zero. ConvNeXt itself uses a truncated normal with standard deviation "
        "0.02 and zero biases (Table 5 prints 0.2; the code in the ConvNeXt repository has 0.02). "
        f"Our networks use it from the step “{ROADMAP.step('training').title}” on, and Kaiming "
        "initialization before that. The config field init accepts kaiming, trunc_normal and "
        "default.",
        f"Our step “{ROADMAP.step('separate_downsampling').title}” is ConvNeXt itself. The network "
        "of the authors' command for this step has no norm after the stem, no norm before "
        f"downsampling and no layer scale, so it has {lacking:,} fewer parameters.",
    ]


def check() -> list[InitRow]:
    """Return the initialization check, one row per step; empty if its runs are missing."""
    try:
        return [_row(step) for step in STEPS]
    except LookupError:
        return []


def finding(rows: list[InitRow]) -> str:
    """Summarize what the check shows and what it does not."""
    moved = max(abs(row.low - row.path) for row in rows)
    first, norm = rows[0], next(row for row in rows if row.step == "layer_norm")
    losses = [getattr(first, name) - getattr(norm, name) for name in ("path", "low", "high")]
    path, low, high = (number(loss, 1) for loss in losses)
    runs = counted(len(rows) * len(RATES), "run")
    return (
        f"{runs} on {DATA} do not settle whether this changes the value of a step: one run per "
        "step and learning rate with PyTorch's initialization, compared with the mean of "
        f"{len(SEEDS)} runs with Table 5's. At the same learning rate, no step moves by more than "
        f"{number(moved, 1)} points. Between “{ROADMAP.step(first.step).title}” and "
        f"“{ROADMAP.step(norm.step).title}”, top-1 falls by {low} points instead of {path}; at "
        f"twice the rate, it falls by {high}. The learning rate matters as much as the "
        "initialization."
    )


def cells(row: InitRow) -> tuple[str, ...]:
    return (ROADMAP.step(row.step).title, *(number(top1, 2) for top1 in row[1:]))


def _added(spec: NetworkSpec) -> Iterator[Norm | LayerScale]:
    """Yield the norms around downsampling, and layer scale."""
    for layer in chain(spec.stem, *(stage.downsample for stage in spec.stages)):
        if isinstance(layer, Norm):
            yield layer
    for block in chain.from_iterable(stage.blocks for stage in spec.stages):
        yield from (layer for layer in block.branch if isinstance(layer, LayerScale))


def _deviation(conv: Conv) -> float:
    """Return the deviation of PyTorch's default: uniform within 1 / sqrt(fan-in) of zero."""
    return 1 / sqrt(3 * (conv.in_channels // conv.groups) * conv.kernel_size**2)


def _size(conv: Conv) -> str:
    return f"{conv.kernel_size}×{conv.kernel_size}"


def _row(step: str) -> InitRow:
    path = fmean(_top1(f"{ROADMAP.name}-{step}-seed{seed}", step) for seed in SEEDS)
    return InitRow(
        step, path, *(_top1(f"init_check-{step}-lr{rate}-seed0", step) for rate in RATES)
    )


def _top1(name: str, step: str) -> float:
    """Return a run's top-1. Raises ``LookupError`` if no finished run has this name."""
    run = read_run(results.RESULTS / "runs" / DATA / name)
    if not isinstance(run, Run) or not run.finished:
        raise LookupError(name)
    score = run.scores[judged_by(ROADMAP, step)]
    if score is None:
        raise LookupError(name)
    return score
