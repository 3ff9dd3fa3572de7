"""The test of a study by runs of other designs: what its model predicts, and what they scored.

Points with the role ``confirmation`` are never fitted. Those of any design are compared whose
network and recipe the study's space contains; beyond the learning rates and lengths of training
that the study has, there is no prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from roadmap.runs import PointRun
from roadmap.steps import ROADMAPS
from roadmap.study.design import Design, Point
from roadmap.study.model import Model, Prediction, combination_row, finished
from roadmap.study.space import Levels, Space, StudyError

#: Factors that a study may predict between the trained values.
BETWEEN = ("lr", "epochs")


class Confirmation(NamedTuple):
    """One combination of ``design``, with the ``scores`` of its runs: top-1 in percent, by seed.

    ``step`` is the title of the step of the roadmap, or the key of the point if it is no step's
    network. ``prediction`` is None beyond the trained range.
    """

    design: str
    step: str
    epochs: int
    lr: float
    prediction: Prediction | None
    scores: tuple[float, ...]

    @property
    def inside(self) -> int | None:
        """The number of scores inside the prediction interval; None without a prediction."""
        if self.prediction is None:
            return None
        return sum(self.prediction.low <= one <= self.prediction.high for one in self.scores)


class Confirmed(NamedTuple):
    """The summary of the ``runs`` with a prediction.

    ``inside`` of them are in their 95% intervals. ``mean`` is the mean of score less prediction and
    ``rmse`` the root mean square error, in points, None if there are none. ``beyond`` more runs are
    outside the trained range.
    """

    runs: int
    inside: int
    mean: float | None
    rmse: float | None
    beyond: int


def confirmations(
    model: Model, designs: Sequence[Design], runs: Sequence[PointRun]
) -> tuple[Confirmation, ...]:
    """Compare ``model`` with the finished confirmation runs of ``designs``, shortest runs first.

    ``runs`` on other data than the model's are left out.
    """
    data = {r.data_sha256 for _, r in finished(model.design, runs) if r.data == model.data}
    found = [
        one
        for design in designs
        for one in _of_design(model, design, [run for run in runs if run.data_sha256 in data])
    ]
    return tuple(sorted(found, key=lambda one: one.epochs))


def _of_design(model: Model, design: Design, runs: Sequence[PointRun]) -> list[Confirmation]:
    trained: dict[tuple[tuple[str, str], ...], list[tuple[Point, PointRun]]] = {}
    for point, run in finished(design, runs):
        if point.role == "confirmation":
            trained.setdefault(tuple(point.levels.items()), []).append((point, run))
    compared = (_compared(model, design, pairs) for pairs in trained.values())
    return [one for one in compared if one is not None]


def _compared(
    model: Model, design: Design, pairs: Sequence[tuple[Point, PointRun]]
) -> Confirmation | None:
    """Compare the runs of one combination; None if the study does not contain it."""
    point = pairs[0][0]
    levels = _in_study(model.design.space, design.space, point.levels)
    if levels is None:
        return None
    recipe = design.space.training(point.levels)
    values = {name: getattr(recipe, name) for name in BETWEEN if _varies(model, name)}
    prediction = None
    with suppress(StudyError):  # beyond what was trained
        prediction = model.predict(combination_row(model, levels, **values)[None])[0]
    return Confirmation(
        design.name,
        _step(model.design.space, levels) or point.key,
        recipe.epochs,
        recipe.lr,
        prediction,
        tuple(run.top1 for _, run in sorted(pairs, key=lambda pair: pair[0].seed)),
    )


def _varies(model: Model, name: str) -> bool:
    factor = model.design.space.by_name.get(name)
    return factor is not None and factor.scale is not None


def _in_study(study: Space, other: Space, levels: Levels) -> dict[str, str] | None:
    """Return the combination of ``study`` with the network and the recipe of ``levels``.

    Quantities without such a level in the study stay at its start. Returns None if there is none.
    """
    mine, free = study.origin, set[str]()
    for factor in study.factors:
        if levels.get(factor.name) in factor.keys:
            mine[factor.name] = levels[factor.name]
        elif factor.name in BETWEEN and factor.scale is not None:
            free |= {name for level in factor.levels for name in level.recipe}
    if study.problem(mine) or study.network(mine) != other.network(levels):
        return None
    here, there = vars(study.training(mine)), vars(other.training(levels))
    same = all(here[name] == there[name] for name in here if name not in free)
    return mine if same else None


def _step(space: Space, levels: Levels) -> str | None:
    """Return the title of the adopted step with the layers of a combination."""
    layers = [factor.name for factor in space.factors if factor.changes_layers]
    for step in ROADMAPS[space.roadmap].steps:
        with suppress(StudyError):
            there = space.step_levels(step.key)
            if step.adopted and all(there[name] == levels[name] for name in layers):
                return step.title
    return None


def confirmed(found: Sequence[Confirmation]) -> Confirmed:
    """Summarize ``found``."""
    known = [(one, one.prediction.top1) for one in found if one.prediction is not None]
    errors = [score - top1 for one, top1 in known for score in one.scores]
    return Confirmed(
        runs=len(errors),
        inside=sum(one.inside or 0 for one in found),
        mean=float(np.mean(errors)) if errors else None,
        rmse=float(np.sqrt(np.mean(np.square(errors)))) if errors else None,
        beyond=sum(len(one.scores) for one in found) - len(errors),
    )
