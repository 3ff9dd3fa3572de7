"""Run folders as ``python -m roadmap train`` leaves them, written without training."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from roadmap.runs.metrics import COLUMNS
from roadmap.runs.record import RunRecord
from roadmap.steps import ROADMAPS

DEVICE = "NVIDIA H200"
VERSIONS = {"python": "3.12.3", "torch": "2.11.0", "torchvision": "0.26.0", "timm": "1.0.22"}


def write_run(
    root: Path,
    step: str = "kernel_7",
    seed: int = 0,
    top1: float = 70.0,
    *,
    ema_top1: float | None = None,
    roadmap: str = "resnet50",
    data: str = "tiny",
    epochs: int = 3,
    done: int | None = None,
    recipe: Mapping[str, Any] | None = None,
    train_images: int = 50_000,
    val_images: int = 10_000,
    **facts: Any,
) -> Path:
    """The folder of a run of ``epochs``, finished unless only ``done`` of them are.

    ``recipe`` changes fields of the step's own, ``facts`` those of run.json.
    """
    folder = root / data / f"{roadmap}-{step}-seed{seed}"
    folder.mkdir(parents=True)
    done = epochs if done is None else done
    rows = [_epoch(number, epochs, top1, ema_top1) for number in range(1, done + 1)]
    lines = [COLUMNS, *(tuple(row[name] for name in COLUMNS) for row in rows)]
    text = "".join(",".join(map(str, line)) + "\n" for line in lines)
    (folder / "metrics.csv").write_text(text)
    settings = dataclasses.asdict(ROADMAPS[roadmap].recipe(step))
    settings |= {"epochs": epochs, "train_size": 64, "test_size": 64, "test_resize": 73}
    finished = done == epochs
    content = {
        "status": "finished" if finished else "running",
        "roadmap": roadmap,
        "step": step,
        "recipe_name": None,
        "config": ROADMAPS[roadmap].config(step).to_dict(),
        "recipe": settings | dict(recipe or {}),
        "data": {
            "name": data,
            "sha256": "0" * 64,
            "classes": 100,
            "train_images": train_images,
            "val_images": val_images,
        },
        "seed": seed,
        "scale": "full",
        "precision": "bf16",
        "micro_batch": None,
        "sync_batch_norm": True,
        "compiled": False,
        "device_type": "cuda",
        "device": DEVICE,
        "processes": 1,
        "steps_per_epoch": 98,
        "versions": VERSIONS,
        "depthwise": "own",
        "steps": 98 * done if finished else 0,
        "date": "2026-11-23",
        "wall_seconds": 12.5 * done if finished else None,
        "energy_joules": None,
        "scores": {name: rows[-1][name] or None for name in COLUMNS[4:10]} if finished else None,
    }
    record = RunRecord.from_json(json.loads(json.dumps(content)))  # raises if it is incomplete
    (folder / "run.json").write_text(json.dumps(record.to_json() | facts, indent=2))
    return folder


#: Top-1 of three seeds per step: a gain, two small changes and a loss.
CHANGES = {
    "kernel_5": (69.0, 69.4, 68.8),
    "kernel_7": (70.02, 70.4, 69.81),
    "gelu": (70.1, 70.3, 70.0),
    "fewer_activations": (60.0, 60.38, 59.92),
}
#: The roadmap's first steps, with a new recipe that gains.
FIRST_STEPS = {
    "baseline": (69.0, 69.4, 68.8),
    "training": (72.02, 72.4, 71.81),
    "stage_ratio": (72.0, 72.6, 71.9),
}


def write_ablation(root: Path, scores: Mapping[str, Iterable[float]], **more: Any) -> None:
    """A finished run for every top-1 of every step, seeds counted from 0."""
    for step, values in scores.items():
        for seed, top1 in enumerate(values):
            write_run(root, step, seed, top1, **more)


def _epoch(number: int, epochs: int, top1: float, average: float | None) -> dict[str, Any]:
    """A row of metrics.csv, on a curve that rises to ``top1``."""
    reached = top1 * (1 - math.exp(-5 * number / epochs)) / (1 - math.exp(-5))
    return {
        "epoch": number,
        "lr": 1e-3,
        "train_loss": 5 - reached / 25,
        "train_top1": reached / 2,
        "val_loss": 5 - reached / 20,
        "top1": top1 if number == epochs else reached,
        "top5": (100 + reached) / 2,
        "ema_val_loss": "",
        "ema_top1": "" if average is None else average,
        "ema_top5": "",
        "images_per_s": 5000.0,
        "seconds": 10.0,
    }


#: What JSON can hold where a record has something else.
NASTY = (
    None,
    True,
    -1,
    0,
    2**63,
    2**200,
    -(2**200),
    1e300,
    "",
    "x" * 100_000,
    "\ud800",
    "<script>alert(1)</script>",
    "=1+1",
    [],
    [[]],
    {},
    {"a": {"b": 1}},
    {"\ud800": 1},
    [None, {"x": "\ud800"}],
)


def damaged(content: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Copies of ``content``, each with one of ``NASTY`` in one place, and which place."""
    for place in _places(content):
        for value in NASTY:
            copy = json.loads(json.dumps(content))
            inner = copy
            for name in place[:-1]:
                inner = inner[name]
            inner[place[-1]] = value
            yield place, copy


def _places(value: Mapping[str, Any], outer: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, each in value.items():
        yield (*outer, name)
        if isinstance(each, dict):
            yield from _places(each, (*outer, name))
