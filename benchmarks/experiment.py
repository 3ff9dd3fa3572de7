"""Train the runs of docs/experiment.md: both ResNet-50 roadmaps on one data set, three seeds.

    python benchmarks/experiment.py --data PATH

Uses all GPUs of this machine. It can be stopped at any time; the same command resumes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from roadmap.console import fail
from roadmap.runs.folders import runs_folder
from roadmap.steps import BEYOND, ROADMAPS
from roadmap.sweep.command import opened, run_jobs
from roadmap.sweep.engine import LocalEngine
from roadmap.sweep.folders import check_folders
from roadmap.sweep.plan import PlannedRun, plan_runs
from roadmap.train.options import sentences

SEEDS = (0, 1, 2)
IMAGE_SIZE = 128
COMMON = {"batch_size": 512, "warmup_epochs": 2}
BASELINE = COMMON | {"epochs": 30}
#: Changes to the ``convnext`` recipe that the search in docs/experiment.md found.
STEPS = COMMON | {
    "epochs": 30,
    "lr": 2e-3,
    "mixup": 0.0,
    "cutmix": 0.0,
    "auto_augment": "none",
    "random_erasing": 0.0,
    "stochastic_depth": 0.0,
}
#: Epochs of the recipe roadmap by those of its recipes.
EPOCHS = {90: 20, 600: 40}
#: Averages over the same share of a run on 50,000 images as the recipe's 0.99998 on ImageNet.
EMA_DECAY = 0.9995


def main(data: Annotated[str, typer.Option(help="The folder tiny-imagenet-100.")]) -> None:
    """Train unfinished runs."""
    if not torch.cuda.is_available():
        fail("The experiment needs a CUDA GPU, and this machine has none.")
    with sentences():
        source = opened(data)
        jobs = list(plan(data, runs_folder() / source.name))
        check_folders(jobs, source, "cuda")
    # Two, because compiling one run beside training takes longer than training another.
    code = run_jobs(jobs, LocalEngine(range(torch.cuda.device_count()), ahead=2))
    raise typer.Exit(code)


def plan(data: str, root: Path) -> Iterator[PlannedRun]:
    """Yield all runs in order: the architecture's steps seed by seed, then the recipes."""
    for seed in SEEDS:
        yield from _architecture(seeds=[seed], root=root, data=data)
    for seed in SEEDS:
        yield from _recipes(seeds=[seed], root=root, data=data)


def _architecture(**run: Any) -> Iterator[PlannedRun]:
    baseline, *steps = [step.key for step in ROADMAPS["resnet50"].steps if step.group != BEYOND]
    yield from _jobs("resnet50", [baseline], changes=BASELINE, **run)
    yield from _jobs("resnet50", steps, changes=STEPS, **run)


def _recipes(**run: Any) -> Iterator[PlannedRun]:
    roadmap = ROADMAPS["torchvision_recipe"]
    for step in roadmap.keys:
        recipe = roadmap.recipe(step)
        changes = COMMON | {"epochs": EPOCHS[recipe.epochs]}
        if recipe.ema_decay:
            changes["ema_decay"] = EMA_DECAY
        yield from _jobs(roadmap.name, [step], changes=changes, **run)


def _jobs(roadmap: str, steps: Sequence[str], **more: Any) -> list[PlannedRun]:
    return plan_runs(roadmap, steps, (), image_size=IMAGE_SIZE, compiled=True, **more)


if __name__ == "__main__":
    typer.run(main)
