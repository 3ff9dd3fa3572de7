"""How the verdict on one change narrows as seeds finish."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from roadmap.analysis.ablation import Change, analyse
from roadmap.runs import StepRun
from roadmap.steps import ROADMAPS


class Narrowing(NamedTuple):
    """The ``change`` of a step when at most ``seeds`` seeds of it and of the step before count."""

    seeds: int
    change: Change


def narrowing(runs: Iterable[StepRun], data: str, roadmap: str, step: str) -> tuple[Narrowing, ...]:
    """Return the change of ``step`` with two seeds, with three, ..., with all finished ones.

    Seeds count in ascending order, the order in which a sweep trains them. All finished runs of
    other steps count every time, so the last change is that of ``analyse``. With one seed of either
    step, there is one change, without an interval. Empty if either step has no finished run.
    Raises ``ResultsError`` as ``analyse`` does.
    """
    previous = ROADMAPS[roadmap].previous(step)
    chosen = [run for run in runs if run.finished and (run.data, run.roadmap) == (data, roadmap)]
    if previous is None:
        return ()
    pair = {
        key: sorted({run.seed for run in chosen if run.step == key}) for key in (previous.key, step)
    }
    if not all(pair.values()):
        return ()
    most = max(map(len, pair.values()))
    first = min(2, *map(len, pair.values()))
    found = []
    for seeds in range(first, most + 1) if first > 1 else (most,):
        counted = [r for r in chosen if r.step not in pair or r.seed in pair[r.step][:seeds]]
        results = {one.step.key: one for one in analyse(counted, data, roadmap).steps}
        change = results[step].change
        assert change is not None  # both steps have runs
        found.append(Narrowing(seeds, change))
    return tuple(found)
