"""Training speed of any combination of a space, estimated from the runs of a design.

The logarithm of the time per image is a linear function of the factors that change the network,
its GFLOPs and their products, fitted with scikit-learn's lasso. The error is that of
cross-validation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from roadmap.runs import Machine, PointRun, curves
from roadmap.study.design import Design
from roadmap.study.model import finished
from roadmap.study.space import Levels, Space, StudyError, network_cost
from roadmap.study.terms import Terms
from roadmap.tables.results import ResultsError
from roadmap.text import counted

LEAST_RUNS = 30
FOLDS = 8


@dataclass(frozen=True, eq=False)
class Speed:
    """Estimated training speed on ``machine``, with data loading, without validation.

    ``images`` is the number of training images per epoch, ``runs`` the number of fitted runs, and
    ``error`` the root mean square error in cross-validation, relative to the speed.
    """

    space: Space
    machine: Machine
    precision: str
    images: int
    runs: int
    error: float
    estimator: Any

    def epoch_seconds(self, levels: Sequence[Levels], gmacs: np.ndarray) -> np.ndarray:
        """Return the training time per epoch of combinations with these GFLOPs, in seconds."""
        logs = self.estimator.predict(_features(self.space, levels, gmacs))
        return self.images * np.exp(logs)

    def epoch_seconds_of(self, levels: Levels) -> float:
        """Return the training time per epoch of one combination, in seconds."""
        gmacs = network_cost(self.space.network(levels)).gmacs
        return float(self.epoch_seconds([levels], np.array([gmacs]))[0])


def fit_speed(design: Design, runs: Sequence[PointRun]) -> Speed:
    """Estimate training speed from the finished runs of ``design`` on the most used machine.

    Raises ``StudyError`` if they are fewer than ``LEAST_RUNS``.
    """
    pairs = [(p.levels, r) for p, r in finished(design, runs)]
    used = Counter((run.machine, run.precision) for _, run in pairs)
    chosen = used.most_common(1)[0][0] if used else None
    timed = [(levels, run, _seconds_per_image(run)) for levels, run in pairs]
    kept = [one for one in timed if one[2] and (one[1].machine, one[1].precision) == chosen]
    if chosen is None or len(kept) < LEAST_RUNS:
        raise StudyError(
            f"training time cannot be estimated: {counted(len(kept), 'run')} of the design "
            f"{design.name} used the same machine; at least {LEAST_RUNS} are needed"
        )
    levels = [one for one, _, _ in kept]
    gmacs = np.array([network_cost(design.space.network(one)).gmacs for one in levels])
    seconds = np.array([one for _, _, one in kept], dtype=float)
    estimator, error = _lasso(_features(design.space, levels, gmacs), np.log(seconds))
    images = kept[0][1].train_images
    return Speed(design.space, *chosen, images, len(kept), error, estimator)


def _seconds_per_image(run: PointRun) -> float | None:
    """Return the median over epochs, so that epochs beside other work do not count."""
    try:
        speeds = [speed for speed in curves(run)["images_per_s"] if speed]
    except ResultsError:
        return None
    return 1 / float(np.median(speeds)) if speeds else None


def _features(space: Space, levels: Sequence[Levels], gmacs: np.ndarray) -> np.ndarray:
    """Return the codes of the factors that change layers, and log GFLOPs: (combinations, n)."""
    places = [i for i, factor in enumerate(space.factors) if factor.changes_layers]
    coded = Terms(space, ()).coded(levels)
    return np.column_stack([coded[:, places], np.log(gmacs)])


def _lasso(features: np.ndarray, logs: np.ndarray) -> tuple[Any, float]:
    from sklearn.linear_model import LassoCV
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    lasso = LassoCV(cv=KFold(FOLDS, shuffle=True, random_state=0), max_iter=20_000)
    products = PolynomialFeatures(2, interaction_only=True, include_bias=False)
    estimator = make_pipeline(products, StandardScaler(), lasso).fit(features, logs)
    return estimator, math.expm1(math.sqrt(float(lasso.mse_path_.mean(axis=1).min())))
