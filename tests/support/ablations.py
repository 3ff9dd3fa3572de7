"""Invented ablations: top-1 of runs, and their analysis."""

from __future__ import annotations

import numpy as np

from roadmap.analysis.ablation import analyse
from roadmap.runs import read_runs

STEADY = (70.0, 70.4, 69.7, 70.2, 70.1)


def shifted(points: float, noise: float = 0.02, seed: int = 0) -> list[float]:
    """The steady seeds with ``points`` more, give or take."""
    draw = np.random.default_rng(seed)
    return [value + points + draw.normal(0, noise) for value in STEADY]


def read(root, roadmap="resnet50", data="tiny"):
    return analyse(read_runs(root).runs, data, roadmap)


def result(ablation, key):
    return next(found for found in ablation.steps if found.step.key == key)
