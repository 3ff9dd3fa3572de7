"""How the verdict on one change narrows as seeds finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from roadmap.analysis.ablation import Change, step_results
from roadmap.analysis.comparable import check_alike, scores_by_step
from roadmap.runs import StepRun
from roadmap.steps import ROADMAPS


class Narrowing(NamedTuple):
    """The ``change`` of a step when at most ``seeds`` seeds of it and of the step before count."""

    seeds: int
    change: Change


def narrowing_of_runs(
    runs: Sequence[StepRun], data: str, roadmap: str, step: str
) -> tuple[Narrowing, ...]:
    """Return the ``narrowing`` of ``step`` by the finished ``runs`` on ``data``.

    Raises ``ResultsError`` if they cannot be compared (``check_alike``).
    """
    chosen = [run for run in runs if run.finished and (run.data, run.roadmap) == (data, roadmap)]
    if not chosen:
        return ()
    check_alike(ROADMAPS[roadmap], chosen)
    scores = scores_by_step(ROADMAPS[roadmap], chosen)
    return narrowing(scores, chosen[0].val_images, roadmap, step)


def narrowing(
    scores: Mapping[str, Mapping[int, float]], images: int, roadmap: str, step: str
) -> tuple[Narrowing, ...]:
    """Return the change of ``step`` with two seeds, with three, ..., with all seeds.

    ``scores`` has top-1, in percent of ``images``, by step and seed. Seeds count in ascending
    order, in which a sweep trains them. All seeds of other steps count every time, so the last
    change is that of ``analyse``. With one seed of either step, there is one change, without an
    interval. Empty if either step has no score.
    """
    previous = ROADMAPS[roadmap].previous(step)
    if previous is None or not (scores.get(step) and scores.get(previous.key)):
        return ()
    pair = (previous.key, step)
    counts = [len(scores[key]) for key in pair]
    first = 2 if min(counts) > 1 else max(counts)
    found = []
    for seeds in range(first, max(counts) + 1):
        by_step = {
            key: dict(sorted(values.items())[: seeds if key in pair else None])
            for key, values in scores.items()
        }
        results = {one.step.key: one for one in step_results(roadmap, by_step, images)}
        change = results[step].change
        assert change is not None  # both steps have scores
        found.append(Narrowing(seeds, change))
    return tuple(found)
