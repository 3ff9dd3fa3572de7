"""The trained roadmap: what each step scored, what each change brought, and how sure that is.

Only finished runs count, and of each the top-1 that its step is about: that of the raw weights
after the last epoch (``top1``), or of their average (``ema_top1``) where the step's own recipe on
the roadmap has one, as from the TorchVision recipe's ``ema`` step on. Neither stands in for the
other, as steps would then be compared by different measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

from scipy import stats

from models.text import said
from roadmap.paired import (
    ALPHA,
    Estimate,
    Spread,
    accuracy_floor,
    change_floor,
    common_spread,
    estimate,
    holm,
    seeds_needed,
)
from roadmap.results import ResultsError, step_rows
from roadmap.runs import Machine, Run, curves, judged_by
from roadmap.steps import ROADMAPS, Roadmap, Step, existing

if TYPE_CHECKING:
    from pandas import DataFrame

GAIN, LOSS, NOISE = "real gain", "real loss", "could be noise"
ONE_SEED, NO_PAIR = "one seed only: no test", "no seed in common: no test"
#: Verdicts in a word, for whatever is not in it "untested".
READINGS = {GAIN: "gain", LOSS: "loss", NOISE: "noise"}
#: Columns of ``rows`` that are no numbers.
TEXTS = (
    *("data", "roadmap", "key", "title", "group", "adopted", "seeds", "previous"),
    *("verdict", "reading", "timed_on"),
)
#: What all runs of an analysis share, beside the recipe.
SHARED = ("data_sha256", "classes", "val_images", "scale", "precision")
#: Of the recipe, what even steps with recipes of their own share.
SHARED_RECIPE = ("epochs", "train_size", "test_size")


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a step brought over the one before: top-1 points, seed by seed.

    ``n`` is the number of seeds both have. ``interval`` is None for fewer than two, and so are
    ``p`` and ``p_pooled`` (both adjusted by Holm's method for all changes tested) and
    ``seeds_needed``, which is also None where it would take more than 100. ``p`` and the verdict
    are by the change's own spread over seeds, ``p_pooled`` by ``Ablation.spread``.
    """

    n: int
    points: float | None
    interval: Estimate | None
    p: float | None
    p_pooled: float | None
    seeds_needed: int | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """One step that was trained. Accuracies are percent.

    ``seconds`` is its fastest run's on ``Ablation.timed_on``, as others may have shared it; None
    where it was not trained there.
    ``interval`` is that of the mean over ``seeds``, None for one seed. ``change`` is None where
    the step has none before it, or where that was not trained.
    """

    step: Step
    previous: str | None
    seeds: tuple[int, ...]
    top1: float
    std: float | None
    interval: Estimate | None
    seconds: float | None
    gflops: float
    paper_top1: float | None
    paper_change: float | None
    change: Change | None


class Agreement(NamedTuple):
    """How far two orders of ``n`` steps agree, from -1 to 1, with the chance of as much or more."""

    n: int
    spearman: float
    spearman_p: float
    kendall: float
    kendall_p: float


class Span(NamedTuple):
    """What all adopted changes after ``first``, up to ``last``, brought together."""

    first: StepResult
    last: StepResult
    change: Estimate


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """The finished ``runs`` of one roadmap on one data set, step by step in its order.

    ``whole`` goes over all adopted steps that were trained; ``one_recipe`` over those of them that
    have the last one's recipe, so that only the network changes: None where all have it, and on a
    roadmap that changes nothing but recipes. Both are None for fewer than two steps, or two seeds
    that their ends have in common. ``spread`` is that of a change if seeds spread alike at every
    step; ``agreement`` compares the order with that of the paper's top-1 (three steps or more).
    ``timed_on`` is the machine of all seconds: the one that trained most steps.
    """

    data: str
    roadmap: Roadmap
    runs: tuple[Run, ...]
    steps: tuple[StepResult, ...]
    whole: Span | None
    one_recipe: Span | None
    spread: Spread | None
    agreement: Agreement | None
    timed_on: Machine

    @property
    def tested(self) -> tuple[StepResult, ...]:
        """The steps whose change was tested."""
        return tuple(step for step in self.steps if step.change and step.change.interval)

    @property
    def untrained(self) -> tuple[str, ...]:
        trained = {result.step.key for result in self.steps}
        return tuple(key for key in self.roadmap.keys if key not in trained)

    @property
    def not_timed(self) -> tuple[Machine, ...]:
        """Other machines that trained some of the runs."""
        others = dict.fromkeys(run.machine for run in self.runs if run.machine != self.timed_on)
        return tuple(others)


def analyse(runs: Iterable[Run], data: str, roadmap: str) -> Ablation:
    """What the finished ones among ``runs`` say about ``roadmap`` (a known one) on ``data``.

    Raises ``ResultsError`` where there are none, where two have the same step and seed, and where
    they were not trained alike: the same images, scale, precision and recipe. A step whose own
    recipe is another, as the baseline's, may keep it, at the same epochs and image sizes; in a
    roadmap whose steps change nothing but the recipe, these are the steps' own as well.
    """
    runs = tuple(runs)
    chosen = _finished(runs, data, roadmap)
    found = ROADMAPS[roadmap]
    _check_alike(found, chosen)
    scores = _scores(found, chosen)
    images = chosen[0].val_images
    spread = common_spread(list(scores.values()), change_floor(images))
    timed_on = _timed_on(chosen)
    seconds = _seconds(chosen, timed_on)
    results = _with_tests(tuple(_results(found, scores, seconds, images)), spread)
    adopted = [result for result in results if result.step.adopted]
    alike = _with_the_last_recipe(adopted, chosen) if found.changes_networks else adopted
    return Ablation(
        data=data,
        roadmap=found,
        runs=chosen,
        steps=results,
        whole=_span(adopted, scores, images),
        one_recipe=_span(alike, scores, images) if alike != adopted else None,
        spread=spread,
        agreement=_agreement(results),
        timed_on=timed_on,
    )


def rows(ablation: Ablation) -> list[dict[str, Any]]:
    """A flat row a trained step; absent figures are None.

    ``number`` counts the roadmap's steps from 1. ``top1*`` and ``paper_top1`` are percent,
    ``change*`` points, ``seconds`` of training on the machine ``timed_on``, ``gflops`` of the full
    network at 224 pixels. ``p`` is of the change alone, ``p_holm`` adjusted for all changes tested,
    and so is ``p_pooled``, with one spread for all steps. ``seeds_needed`` is None beside a p
    value: more than 100. ``reading`` is the verdict in a word: gain, loss, noise, untested, or hint
    for what could be noise and is found by ``p_pooled``.
    """
    return [_row(ablation, result) for result in ablation.steps]


def ablation_table(ablation: Ablation) -> DataFrame:
    """``rows`` as a DataFrame with the step's ``key`` as index too: what the charts take."""
    import pandas as pd

    table = pd.DataFrame(rows(ablation)).set_index("key", drop=False).rename_axis(None)
    numbers = [name for name in table if name not in TEXTS]
    return table.astype(dict.fromkeys(numbers, float))  # columns of nothing but None too


def curve_table(ablation: Ablation) -> DataFrame:
    """Learning curves: a row a step and epoch with ``key``, ``title``, ``group``, ``epoch``,
    ``top1`` (percent of the validation images, mean over seeds) and ``n``.

    Raises ``ResultsError`` for a metrics.csv that can no longer be read.
    """
    import pandas as pd

    columns = {name: [] for name in ("key", "title", "group", "epoch", "top1", "n")}
    for result in ablation.steps:
        step = result.step
        measure = judged_by(ablation.roadmap, step.key)
        seeds = [curves(run)[measure] for run in ablation.runs if run.step == step.key]
        for epoch, values in enumerate(zip(*seeds, strict=True), start=1):
            there = [value for value in values if value is not None]  # else not finite
            mean = fmean(there) if there else math.nan
            row = (step.key, step.title, step.group, epoch, mean, len(there))
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    return pd.DataFrame(columns)


def _finished(runs: Sequence[Run], data: str, roadmap: str) -> tuple[Run, ...]:
    known = sorted({run.data for run in runs})
    if data not in known:
        raise ResultsError(f"no run is on data named {said(data)}.{existing(data, tuple(known))}")
    chosen = tuple(
        run for run in runs if run.finished and (run.data, run.roadmap) == (data, roadmap)
    )
    if not chosen:
        raise ResultsError(f"no run of {roadmap} on {data} is finished")
    return chosen


def _check_alike(roadmap: Roadmap, runs: Sequence[Run]) -> None:
    """Every run beside the first one, and beside the first with the same recipe of the step."""
    # Where only recipes change, so may epochs and image sizes: they are what is studied.
    shared_recipe = SHARED_RECIPE if roadmap.changes_networks else ()
    firsts: dict[Any, Run] = {}
    for run in runs:
        for name in SHARED:
            _check_same(name, runs[0], getattr(runs[0], name), run, getattr(run, name))
        for name in shared_recipe:
            _check_same(f"recipe.{name}", runs[0], runs[0].recipe[name], run, run.recipe[name])
        first = firsts.setdefault(roadmap.recipe(run.step), run)
        for name in sorted({*first.recipe, *run.recipe}):
            values = first.recipe.get(name), run.recipe.get(name)
            _check_same(f"recipe.{name}", first, values[0], run, values[1])


def _check_same(name: str, first: Run, there: Any, run: Run, here: Any) -> None:
    if there != here:
        raise ResultsError(
            f"runs of different settings cannot be compared: {name} is {said(there)} in "
            f"{first.path.name} and {said(here)} in {run.path.name}. Keep the runs of each setting "
            "in a folder of their own"
        )


def _score(roadmap: Roadmap, run: Run) -> float:
    name = judged_by(roadmap, run.step)
    score = run.scores.get(name)
    if score is None:
        raise ResultsError(
            f"{run.path.name} has no {name}, by which {run.step} is judged: it was trained "
            "without a weight average"
        )
    return float(score)


def _scores(roadmap: Roadmap, runs: Sequence[Run]) -> dict[str, dict[int, float]]:
    """Top-1 by step and seed."""
    scores: dict[str, dict[int, float]] = {}
    places: dict[tuple[str, int], Run] = {}
    for run in runs:
        other = places.setdefault((run.step, run.seed), run)
        if other is not run:
            raise ResultsError(
                f"{other.path.name} and {run.path.name} are both {run.step} with seed {run.seed}: "
                "move one away"
            )
        scores.setdefault(run.step, {})[run.seed] = _score(roadmap, run)
    return scores


def _timed_on(runs: Sequence[Run]) -> Machine:
    """The machine of most steps, of several the one of most runs."""
    steps: dict[Machine, list[str]] = {}
    for run in runs:
        steps.setdefault(run.machine, []).append(run.step)
    return max(steps, key=lambda machine: (len(set(steps[machine])), len(steps[machine])))


def _seconds(runs: Sequence[Run], machine: Machine) -> dict[str, float]:
    """Those of the fastest run on ``machine``, by step."""
    fastest: dict[str, float] = {}
    for run in runs:
        if run.machine == machine:
            fastest[run.step] = min(run.seconds, fastest.get(run.step, run.seconds))
    return fastest


def _results(
    roadmap: Roadmap,
    scores: dict[str, dict[int, float]],
    seconds: dict[str, float],
    images: int,
) -> Iterable[StepResult]:
    """The trained steps, their changes not yet adjusted for each other."""
    published = {row["key"]: row for row in step_rows(roadmap.name)}
    for step in roadmap.steps:
        if step.key not in scores:
            continue
        before = roadmap.previous(step.key)
        previous = before.key if before else None
        values = list(scores[step.key].values())
        several = len(values) > 1
        yield StepResult(
            step=step,
            previous=previous,
            seeds=tuple(sorted(scores[step.key])),
            top1=fmean(values),
            std=stdev(values) if several else None,
            interval=estimate(values, accuracy_floor(images)) if several else None,
            seconds=seconds.get(step.key),
            gflops=published[step.key]["gflops"],
            paper_top1=published[step.key]["top1"],
            paper_change=_difference(published, previous, step.key),
            change=_change(scores[previous], scores[step.key], images)
            if previous in scores
            else None,
        )


def _difference(published: dict[str, Any], before: str | None, after: str) -> float | None:
    values = [published[key]["top1"] if key else None for key in (before, after)]
    return None if None in values else round(values[1] - values[0], 2)  # as printed there


def _change(before: dict[int, float], after: dict[int, float], images: int) -> Change:
    differences = _differences(before, after)
    n = len(differences)
    interval = estimate(differences, change_floor(images)) if n > 1 else None
    return Change(
        n=n,
        points=fmean(differences) if n else None,
        interval=interval,
        p=None,
        p_pooled=None,
        seeds_needed=None,
        verdict=ONE_SEED if n else NO_PAIR,
    )


def _differences(before: dict[int, float], after: dict[int, float]) -> list[float]:
    return [after[seed] - before[seed] for seed in sorted(before.keys() & after.keys())]


def _with_tests(results: tuple[StepResult, ...], spread: Spread | None) -> tuple[StepResult, ...]:
    """``results`` with the p values of all changes adjusted together, and their verdicts."""
    tested = [r for r in results if r.change and r.change.interval]
    own = holm([r.change.interval.p for r in tested])
    pooled = holm([spread.p(r.change.interval) for r in tested])
    changes = {
        r.step.key: _judged(r.change, p, p_pooled, len(tested))
        for r, p, p_pooled in zip(tested, own, pooled, strict=True)
    }
    return tuple(replace(r, change=changes.get(r.step.key, r.change)) for r in results)


def _judged(change: Change, p: float, p_pooled: float, comparisons: int) -> Change:
    verdict = NOISE
    if p <= ALPHA:
        verdict = GAIN if change.interval.mean > 0 else LOSS
    # The level that Holm's method asks of the smallest p value: enough whatever the others are.
    needed = seeds_needed(change.interval.mean, change.interval.std, ALPHA / comparisons)
    return replace(change, p=p, p_pooled=p_pooled, verdict=verdict, seeds_needed=needed)


def _with_the_last_recipe(adopted: Sequence[StepResult], runs: Sequence[Run]) -> list[StepResult]:
    recipes = {run.step: run.recipe for run in runs}
    return [r for r in adopted if recipes[r.step.key] == recipes[adopted[-1].step.key]]


def _span(
    adopted: Sequence[StepResult], scores: dict[str, dict[int, float]], images: int
) -> Span | None:
    if len(adopted) < 2:
        return None
    first, last = adopted[0], adopted[-1]
    differences = _differences(scores[first.step.key], scores[last.step.key])
    if len(differences) < 2:
        return None
    return Span(first, last, estimate(differences, change_floor(images)))


def _agreement(results: Sequence[StepResult]) -> Agreement | None:
    both = [(r.top1, r.paper_top1) for r in results if r.paper_top1 is not None]
    if len(both) < 3 or any(len(set(values)) == 1 for values in zip(*both, strict=True)):
        return None
    ours, papers = zip(*both, strict=True)
    spearman, kendall = stats.spearmanr(ours, papers), stats.kendalltau(ours, papers)
    return Agreement(
        len(both),
        float(spearman.statistic),
        float(spearman.pvalue),
        float(kendall.statistic),
        float(kendall.pvalue),
    )


def _reading(change: Change) -> str:
    if change.verdict == NOISE and change.p_pooled <= ALPHA:
        return "hint"
    return READINGS.get(change.verdict, "untested")


def _row(ablation: Ablation, result: StepResult) -> dict[str, Any]:
    change, step = result.change, result.step
    interval, changed = result.interval, change.interval if change else None
    return {
        "data": ablation.data,
        "roadmap": ablation.roadmap.name,
        "number": ablation.roadmap.keys.index(step.key) + 1,
        "key": step.key,
        "title": step.title,
        "group": step.group,
        "adopted": step.adopted,
        "n": len(result.seeds),
        "seeds": " ".join(map(str, result.seeds)),
        "top1": result.top1,
        "top1_std": result.std,
        "top1_low": interval and interval.low,
        "top1_high": interval and interval.high,
        "previous": result.previous,
        "pairs": change.n if change else 0,
        "change": change and change.points,
        "change_low": changed and changed.low,
        "change_high": changed and changed.high,
        "p": changed and changed.p,
        "p_holm": change and change.p,
        "p_pooled": change and change.p_pooled,
        "verdict": change and change.verdict,
        "reading": change and _reading(change),
        "seeds_needed": change and change.seeds_needed,
        "paper_top1": result.paper_top1,
        "paper_change": result.paper_change,
        "gflops": result.gflops,
        "seconds": result.seconds,
        "timed_on": None if result.seconds is None else str(ablation.timed_on),
    }
