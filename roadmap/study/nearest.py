"""The measured networks nearest to any network: published ones, and those of training runs.

The distance is the number of fields in which two networks differ; of equally many, the network
with the more similar cost is nearer (the absolute logarithm of the ratio of GFLOPs).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from models.config import FIELDS, ConfigError, ModelConfig, differences
from models.variants import VARIANTS
from roadmap.recipes import RECIPES
from roadmap.runs import Run, StepRun, judged_by
from roadmap.steps import ROADMAPS
from roadmap.study.space import network_cost
from roadmap.tables import results
from roadmap.tables.sizes import MEASURED

#: Fields that do not tell networks apart: the data set gives the number of classes, the recipe the
#: rate of stochastic depth.
IGNORED = ("num_classes", "stochastic_depth")
COMPARED = tuple(name for name in FIELDS if name not in IGNORED)
#: The data set of published scores.
PUBLISHED = "ImageNet-1K, published"
#: Seeds of the paper's figures that have a standard deviation (Liu et al. 2022, Appendix C).
PAPER_SEEDS = 3
#: Names in ``paper/paper_variants`` of the sizes that are no step.
_STEPS = [roadmap.config(step.key) for roadmap in ROADMAPS.values() for step in roadmap.steps]
_SIZES = {
    title: name
    for (source, name), title in MEASURED.items()
    if source == "variant" and VARIANTS[name] not in _STEPS
}


class Measured(NamedTuple):
    """A network with its score on one data set under one recipe.

    ``top1`` is the mean of ``seeds`` runs in percent, ``std`` their standard deviation, None for
    one. ``seeds`` is None if a publication does not give their number. ``size`` is the side of the
    training images in pixels. ``network`` is its name, empty for a combination without one.
    """

    config: ModelConfig
    network: str
    data: str
    epochs: int
    lr: float
    size: int
    top1: float
    std: float | None
    seeds: int | None


class Near(NamedTuple):
    """A measured network with the best of its ``recipes`` measured on that data set.

    ``differs`` are the fields that differ, as ``{field: (here, there)}``.
    """

    best: Measured
    recipes: int
    differs: Mapping[str, tuple[Any, Any]]


def nearest(config: ModelConfig, measured: Iterable[Measured], most: int = 2) -> list[Near]:
    """Return the nearest networks on each data set, at most ``most`` per set, nearest first."""
    networks: dict[tuple[Any, ...], list[Measured]] = {}
    for one in measured:
        networks.setdefault((one.data, *_compared(one.config)), []).append(one)
    by_data: dict[str, list[Near]] = {}
    for (data, *_), recipes in networks.items():
        best = max(recipes, key=lambda one: one.top1)
        found = {k: v for k, v in differences(config, best.config).items() if k in COMPARED}
        by_data.setdefault(data, []).append(Near(best, len(recipes), found))
    kept = [near for group in by_data.values() for near in _nearest_of(config, group, most)]
    return sorted(kept, key=lambda near: _distance(config, near))


def _nearest_of(config: ModelConfig, group: list[Near], most: int) -> list[Near]:
    """Return the ``most`` nearest; costs are only counted of networks that may be among them."""
    counts = sorted(len(near.differs) for near in group)
    least = counts[min(most, len(counts)) - 1]
    candidates = [near for near in group if len(near.differs) <= least]
    return sorted(candidates, key=lambda near: _distance(config, near))[:most]


def _distance(config: ModelConfig, near: Near) -> tuple[int, float, float]:
    """Return what networks are sorted by; of two just as near, the better one comes first."""
    costs = [network_cost(each).gmacs for each in (config, near.best.config)]
    return len(near.differs), abs(math.log(costs[1] / costs[0])), -near.best.top1


def _compared(config: ModelConfig) -> tuple[Any, ...]:
    return tuple(getattr(config, name) for name in COMPARED)


# What was measured


def of_runs(runs: Sequence[Run]) -> list[Measured]:
    """Return the networks of finished ``runs``; runs that differ only by their seed are one."""
    groups: dict[tuple[Any, ...], list[tuple[Run, ModelConfig]]] = {}
    for run in runs:
        if run.finished and (config := _config(run)) is not None and _score(run) is not None:
            settings = (run.data, run.data_sha256, repr(sorted(run.recipe.items())))
            groups.setdefault((*settings, *_compared(config)), []).append((run, config))
    return [_measured(group) for group in groups.values()]


def published() -> list[Measured]:
    """Return the steps and sizes with a published score. Raises ``ResultsError``."""
    found = []
    for name, roadmap in ROADMAPS.items():
        for row in results.step_rows(name):
            if row["top1"] is None:
                continue
            recipe, std = roadmap.recipe(row["key"]), row["top1_std"]
            about = (recipe.epochs, recipe.lr, recipe.train_size, row["top1"], std)
            network = _title(name, row["key"]) if roadmap.changes_networks else roadmap.networks[0]
            seeds = None if std is None else PAPER_SEEDS
            found.append(Measured(roadmap.config(row["key"]), network, PUBLISHED, *about, seeds))
    recipe = RECIPES["convnext"]
    for row in results.read_rows("paper/paper_variants"):
        name = row["model"]
        if name in _SIZES and row["image_size"] == "224" and row["pretraining"] == "in1k":
            about = (recipe.epochs, recipe.lr, recipe.train_size, float(row["top1"]), None)
            found.append(Measured(VARIANTS[_SIZES[name]], name, PUBLISHED, *about, None))
    return found


def _config(run: Run) -> ModelConfig | None:
    """Return a run's network; None for a record without a valid one."""
    try:
        return ModelConfig.from_dict(dict(run.config)) if run.config else None
    except ConfigError:
        return None


def _score(run: Run) -> float | None:
    """Return the score that the run's step is judged by, in percent."""
    name = judged_by(ROADMAPS[run.roadmap], run.step) if isinstance(run, StepRun) else "top1"
    return run.scores.get(name)


def _measured(group: Sequence[tuple[Run, ModelConfig]]) -> Measured:
    run, config = group[0]
    scores = [score for each, _ in group if (score := _score(each)) is not None]
    recipe = run.recipe
    return Measured(
        config=config,
        network=_name(config),
        data=run.data,
        epochs=recipe["epochs"],
        lr=recipe["lr"],
        size=recipe["train_size"],
        top1=fmean(scores),
        std=stdev(scores) if len(scores) > 1 else None,
        seeds=len(scores),
    )


def _name(config: ModelConfig) -> str:
    """Return the name of the step with the same network, if there is one."""
    for name, roadmap in ROADMAPS.items():
        for step in roadmap.steps if roadmap.changes_networks else ():
            if _compared(roadmap.config(step.key)) == _compared(config):
                return _title(name, step.key)
    return ""


def _title(roadmap: str, step: str) -> str:
    """Return a step's title, with its start if an earlier roadmap has that step too."""
    start = ROADMAPS[roadmap].networks[0]
    found = ROADMAPS[roadmap].step(step)
    if found is ROADMAPS[roadmap].steps[0]:
        return start
    titled = [name for name, other in ROADMAPS.items() if step in other.keys]
    plain = found.network or titled[0] == roadmap
    return found.full_title if plain else f"{found.title} ({start})"
