"""Ablation of a trained roadmap: the score of each step, and the size and certainty of each change.

Only finished runs count. The score is top-1 after the last epoch: with the raw weights (``top1``),
or with their average (``ema_top1``) if the step's own recipe has one, as in the TorchVision recipe
from step ``ema`` on. A missing score is never replaced by the other one, since steps would then be
compared by different measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any, NamedTuple

from scipy import stats

from roadmap.analysis.comparable import check_alike, finished_runs, scores_by_step
from roadmap.analysis.significance import (
    Difference,
    Estimate,
    Spread,
    accuracy_floor,
    change_floor,
    estimate,
    holm,
    paired_std,
    pooled_spread,
    pooled_test,
    seeds_needed,
    welch_test,
)
from roadmap.analysis.verdict import ALPHA, UNTESTED, verdict
from roadmap.definition import Roadmap, Step
from roadmap.runs import Machine, StepRun
from roadmap.steps import ROADMAPS
from roadmap.tables.results import step_rows


@dataclass(frozen=True, kw_only=True)
class Change:
    """The change from the previous step to a step, in top-1 points.

    ``p`` is adjusted by Holm's method for all changes tested. ``interval``, ``p`` and
    ``seeds_needed`` are None if either step has only one seed; ``seeds_needed`` is also None if
    more than 100 are needed.
    """

    points: float
    interval: Difference | None
    p: float | None
    seeds_needed: int | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """The result of one trained step. Accuracies are percent.

    ``seconds`` is the training time of the fastest run on ``Ablation.timed_on``, since other runs
    may have shared the machine; None if the step was not trained there. ``interval`` is the
    interval of the mean over ``seeds``, None for one seed. ``change`` is None if there is no
    previous step or if it was not trained.
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
    """Rank correlations of two orders of ``n`` steps, from -1 to 1, with their p values."""

    n: int
    spearman: float
    spearman_p: float
    kendall: float
    kendall_p: float


class Span(NamedTuple):
    """The total effect of all adopted changes after ``first``, up to and including ``last``."""

    first: StepResult
    last: StepResult
    change: Difference


class PairedCheck(NamedTuple):
    """Check of the changes by a paired t-test, for pairs of steps with two or more shared seeds.

    ``verdicts`` are the verdicts of the paired test by step, corrected by Holm's method.
    ``agreeing`` are the steps where both tests give the same sign and verdict. ``paired_std`` and
    ``unpaired_std`` are the standard deviations, in points, of the difference between two steps
    with the same seed and with different seeds, pooled over all steps.
    """

    verdicts: dict[str, str]
    agreeing: tuple[str, ...]
    paired_std: float
    unpaired_std: float


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """The finished ``runs`` of one roadmap on one data set, with one result per step in order.

    ``whole`` spans all trained adopted steps. ``one_recipe`` spans the ones that share the last
    step's recipe, so that only the network changes; None if all share it or if the roadmap only
    changes recipes. Both are None for fewer than two steps or if the first or last step has only
    one seed. ``spread`` is the variation between runs of the same step, used to test changes; None
    if no step has two seeds. ``paired`` checks these tests; None if nothing was tested or no steps
    share two seeds. ``agreement`` compares the order of the steps with their order in the paper;
    None for fewer than three steps. All seconds were measured on ``timed_on``, the machine that
    trained most steps.
    """

    data: str
    roadmap: Roadmap
    runs: tuple[StepRun, ...]
    steps: tuple[StepResult, ...]
    whole: Span | None
    one_recipe: Span | None
    spread: Spread | None
    paired: PairedCheck | None
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
        """The other machines that trained runs."""
        others = dict.fromkeys(run.machine for run in self.runs if run.machine != self.timed_on)
        return tuple(others)


def analyse(runs: Iterable[StepRun], data: str, roadmap: str) -> Ablation:
    """Analyze the finished runs of ``roadmap``, a key of ``ROADMAPS``, on ``data``.

    Raises ``ResultsError`` if there are none, if two have the same step and seed, or if they were
    not trained with the same images, scale, precision and recipe. A step with its own recipe, such
    as the baseline, may keep it if epochs and image sizes are equal; in a roadmap that only changes
    recipes, these may differ too.
    """
    runs = tuple(runs)
    chosen = finished_runs(runs, data, roadmap)
    found = ROADMAPS[roadmap]
    check_alike(found, chosen)
    scores = _Scores(scores_by_step(found, chosen), chosen[0].val_images)
    timed_on = _timed_on(chosen)
    seconds = _seconds(chosen, timed_on)
    results = _with_verdicts(tuple(_results(found, scores, seconds)), scores.spread)
    adopted = [result for result in results if result.step.adopted]
    alike = _with_the_last_recipe(adopted, chosen) if found.changes_networks else adopted
    return Ablation(
        data=data,
        roadmap=found,
        runs=chosen,
        steps=results,
        whole=_span(adopted, scores),
        one_recipe=_span(alike, scores) if alike != adopted else None,
        spread=scores.spread,
        paired=_paired_check(results, scores),
        agreement=_agreement(results),
        timed_on=timed_on,
    )


def step_results(
    roadmap: str, by_step: dict[str, dict[int, float]], images: int
) -> tuple[StepResult, ...]:
    """Return the results and verdicts of steps from their scores alone.

    ``by_step`` has top-1, in percent of ``images``, by step and seed.
    """
    scores = _Scores(by_step, images)
    return _with_verdicts(tuple(_results(ROADMAPS[roadmap], scores, {})), scores.spread)


def _timed_on(runs: Sequence[StepRun]) -> Machine:
    """Return the machine that trained most steps; if tied, the one that trained most runs."""
    steps: dict[Machine, list[str]] = {}
    for run in runs:
        steps.setdefault(run.machine, []).append(run.step)
    return max(steps, key=lambda machine: (len(set(steps[machine])), len(steps[machine])))


def _seconds(runs: Sequence[StepRun], machine: Machine) -> dict[str, float]:
    """Return the seconds of the fastest run on ``machine``, by step."""
    fastest: dict[str, float] = {}
    for run in runs:
        if run.machine == machine:
            fastest[run.step] = min(run.seconds, fastest.get(run.step, run.seconds))
    return fastest


class _Scores:
    """Top-1 (percent of ``images``) by step and seed, and tests of differences between steps."""

    def __init__(self, by_step: dict[str, dict[int, float]], images: int) -> None:
        self.by_step, self.images = by_step, images
        self.spread = pooled_spread(
            [list(by_seed.values()) for by_seed in by_step.values()], accuracy_floor(images)
        )

    def values(self, step: str) -> list[float]:
        return list(self.by_step[step].values())

    def difference(self, before: str, after: str) -> Difference | None:
        """Test the change from ``before`` to ``after``; None if either has only one seed."""
        samples = self.values(before), self.values(after)
        if self.spread is None or min(map(len, samples)) < 2:
            return None
        if self.spread.differs:
            return welch_test(*samples, accuracy_floor(self.images))
        return pooled_test(*samples, self.spread)

    def paired(self, before: str, after: str) -> Estimate | None:
        """Test the change by a paired t-test; None if they share fewer than two seeds."""
        first, second = self.by_step[before], self.by_step[after]
        changes = [second[seed] - first[seed] for seed in first.keys() & second.keys()]
        return estimate(changes, change_floor(self.images)) if len(changes) > 1 else None


def _results(roadmap: Roadmap, scores: _Scores, seconds: dict[str, float]) -> Iterable[StepResult]:
    """Yield the result of each trained step, without verdicts."""
    published = {row["key"]: row for row in step_rows(roadmap.name)}
    for step in roadmap.steps:
        if step.key not in scores.by_step:
            continue
        before = roadmap.previous(step.key)
        previous = before.key if before else None
        values = scores.values(step.key)
        several = len(values) > 1
        yield StepResult(
            step=step,
            previous=previous,
            seeds=tuple(sorted(scores.by_step[step.key])),
            top1=fmean(values),
            std=stdev(values) if several else None,
            interval=estimate(values, accuracy_floor(scores.images)) if several else None,
            seconds=seconds.get(step.key),
            gflops=published[step.key]["gflops"],
            paper_top1=published[step.key]["top1"],
            paper_change=_difference(published, previous, step.key),
            change=_change(scores, previous, step.key) if previous in scores.by_step else None,
        )


def _difference(published: dict[str, Any], before: str | None, after: str) -> float | None:
    first, second = published[before]["top1"] if before else None, published[after]["top1"]
    return None if None in (first, second) else round(second - first, 2)  # rounded as in the paper


def _change(scores: _Scores, before: str, after: str) -> Change:
    return Change(
        points=fmean(scores.values(after)) - fmean(scores.values(before)),
        interval=scores.difference(before, after),
        p=None,
        seeds_needed=None,
        verdict=UNTESTED,
    )


def _with_verdicts(
    results: tuple[StepResult, ...], spread: Spread | None
) -> tuple[StepResult, ...]:
    """Return ``results`` with verdicts and with p values adjusted for all changes."""
    tested = {
        r.step.key: (r.change, r.change.interval) for r in results if r.change and r.change.interval
    }
    adjusted = holm([interval.p for _, interval in tested.values()])
    # Holm's level for the smallest p value, the strictest of all.
    level = ALPHA / max(len(tested), 1)
    groups = 2 if spread and spread.differs else len(results)
    changes = {
        key: replace(
            change,
            p=p,
            verdict=verdict(change.points, p),
            seeds_needed=seeds_needed(change.points, interval.std, groups, level),
        )
        for (key, (change, interval)), p in zip(tested.items(), adjusted, strict=True)
    }
    return tuple(replace(r, change=changes.get(r.step.key, r.change)) for r in results)


def _paired_check(results: Sequence[StepResult], scores: _Scores) -> PairedCheck | None:
    both = [
        (r.step.key, r.change, paired)
        for r in results
        if r.previous and r.change and r.change.interval
        if (paired := scores.paired(r.previous, r.step.key))
    ]
    if not both or scores.spread is None:
        return None
    adjusted = holm([paired.p for _, _, paired in both])
    verdicts = {
        key: verdict(paired.mean, p) for (key, _, paired), p in zip(both, adjusted, strict=True)
    }
    agreeing = tuple(
        key
        for key, change, paired in both
        if verdicts[key] == change.verdict and _sign(paired.mean) == _sign(change.points)
    )
    return PairedCheck(
        verdicts,
        agreeing,
        paired_std(list(scores.by_step.values()), change_floor(scores.images)),
        math.sqrt(2) * scores.spread.std,
    )


def _sign(points: float) -> float:
    return math.copysign(1, points) if abs(points) > 1e-9 else 0  # sums have rounding errors


def _with_the_last_recipe(
    adopted: Sequence[StepResult], runs: Sequence[StepRun]
) -> list[StepResult]:
    recipes = {run.step: run.recipe for run in runs}
    return [r for r in adopted if recipes[r.step.key] == recipes[adopted[-1].step.key]]


def _span(adopted: Sequence[StepResult], scores: _Scores) -> Span | None:
    if len(adopted) < 2:
        return None
    first, last = adopted[0], adopted[-1]
    change = scores.difference(first.step.key, last.step.key)
    return change and Span(first, last, change)


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
