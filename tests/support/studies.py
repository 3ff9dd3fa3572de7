"""Designed experiments without training: small spaces, and runs with made scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.config import ModelConfig
from roadmap.runs import PointRun, RunPoint
from roadmap.steps import ROADMAPS
from roadmap.study import factors
from roadmap.study.design import Design, Point
from roadmap.study.model import all_terms, percent
from roadmap.study.optimal import optimal_design
from roadmap.study.space import Space, roadmap_space
from roadmap.study.terms import crossed

#: Changes that leave a space of a few hundred combinations, two of which need another.
CHANGES = ("depthwise_conv", "inverted_bottleneck", "move_up_depthwise", "gelu", "fewer_norms")


def small_space(**limits: float) -> Space:
    """Five changes, crossed with learning rate and length."""
    roadmap = ROADMAPS["resnet50"]
    skip = [step.key for step in roadmap.steps if step.key not in CHANGES]
    settings = (factors.learning_rate([1e-3, 2e-3, 4e-3]), factors.epochs([10, 20, 40]))
    space = roadmap_space(roadmap, settings, skip=skip, recipe=factors.LIGHT, **limits)
    start = ModelConfig(depths=(1, 1, 1, 1), width=16, init="default")
    return Space(space.roadmap, start, space.recipe, space.factors, space.max_gmacs)


def small_design(runs: int = 48, replicates: int = 8, held_out: int = 12, seed: int = 0) -> Design:
    space = small_space()
    pairs = crossed(space, [("gelu", "fewer_norms")])
    return optimal_design(
        "small", space, pairs, runs=runs, replicates=replicates, held_out=held_out, seed=seed
    )


def truth(design: Design, seed: int = 0) -> np.ndarray:
    """Coefficients of simulated runs on the scale of log-odds: 50% in the middle, all else about a
    point there."""
    names = all_terms(design).names
    coefficients = np.random.default_rng(seed).normal(0, 1, len(names))
    coefficients[0] = 0
    return coefficients


def made_runs(
    design: Design, coefficients: np.ndarray, std: float, seed: int = 0, **facts: object
) -> list[PointRun]:
    """A finished run for each point, with its simulated score and chance."""
    random = np.random.default_rng(seed)
    rows = all_terms(design).of([p.levels for p in design.points])
    scores = percent(rows @ coefficients + random.normal(0, std, len(rows)))
    return [made_run(design, p, s, **facts) for p, s in zip(design.points, scores, strict=True)]


def made_run(
    design: Design, point: Point, top1: float, *, data: str = "made", root: Path = Path("runs")
) -> PointRun:
    recipe = design.space.training(point.levels)
    return PointRun(
        path=root / data / f"{design.name}-{point.key}-seed{point.seed}",
        status="finished",
        data=data,
        data_sha256="0" * 64,
        classes=100,
        train_images=50_000,
        val_images=5_000,
        roadmap=design.space.roadmap,
        step=None,
        point=RunPoint(design.name, point.key, point.role, point.levels),
        seed=point.seed,
        scale="full",
        recipe_name=None,
        recipe=vars(recipe),
        precision="bf16",
        device="NVIDIA H200",
        compiled=True,
        processes=1,
        versions={},
        date="2026-01-01",
        epochs=recipe.epochs,
        seconds=10.0,
        wall_seconds=20.0,
        scores={"top1": float(top1)},
        reason=None,
    )


def save_runs(root: Path, design: Design, runs: Sequence[PointRun]) -> None:
    """The folders of ``runs`` of ``design``, as training leaves them."""
    from fake_runs import write_run

    for point, run in zip(design.points, runs, strict=True):
        recipe = design.space.training(point.levels)
        folder = write_run(
            root,
            step="baseline",
            seed=1000 + design.points.index(point),
            top1=run.scores["top1"],
            data=run.data,
            epochs=recipe.epochs,
        )
        target = folder.with_name(f"{design.name}-{point.key}-seed{point.seed}")
        folder.rename(target)
        _turn_into_point(target, design, point)


def _turn_into_point(folder: Path, design: Design, point: Point) -> None:
    import json

    path = folder / "run.json"
    facts = json.loads(path.read_text())
    facts |= {
        "step": None,
        "seed": point.seed,
        "point": {
            "design": design.name,
            "key": point.key,
            "role": point.role,
            "levels": dict(point.levels),
        },
        "config": design.space.network(point.levels).to_dict(),
    }
    path.write_text(json.dumps(facts))
