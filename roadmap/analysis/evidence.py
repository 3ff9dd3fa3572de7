"""What is known about the change of one step: published, trained here, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from roadmap.analysis.significance import Sample, holm, welch_test_of
from roadmap.analysis.verdict import GAIN, LOSS, UNTESTED, verdict
from roadmap.definition import Step
from roadmap.steps import ROADMAPS
from roadmap.tables.results import number_in, report_rows, step_rows

STRONG, NOISE, CONTRADICTED, NO_TEST = "strong", "noise", "contradicted", "no test"
#: Seeds behind each standard deviation that the paper prints (its Table 10).
PAPER_SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class Result:
    """The change from the previous step to a step, in points of top-1, in one experiment.

    ``data`` is None for published ImageNet-1K results. ``low`` and ``high`` end the 95% interval;
    they and ``p`` (adjusted by Holm's method) are None with fewer than two ``seeds``.
    """

    roadmap: str
    data: str | None
    seeds: int
    change: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    verdict: str = UNTESTED

    @property
    def sure(self) -> bool:
        return self.verdict in (GAIN, LOSS)

    @property
    def sign(self) -> int:
        return (self.change > 0) - (self.change < 0)


@dataclass(frozen=True)
class Confidence:
    """How sure a step's change is: ``verdict``, and the results that decide it."""

    verdict: str
    deciding: tuple[Result, ...]


def results(roadmap: str, key: str) -> tuple[Result, ...]:
    """Return all results of a step: published ones, that of ``roadmap`` first, then our own.

    A step of one size of an architecture roadmap has those of the other size too. The tables of
    ``results/reports/`` have our own.
    """
    alike = [roadmap] + [
        name
        for name, other in ROADMAPS.items()
        if name != roadmap
        and other.changes_networks
        and ROADMAPS[roadmap].changes_networks
        and key in other.keys
    ]
    published = [found for name in alike for k, found in _published(name) if k == key]
    own = [found for name in alike for k, found in _own(name) if k == key]
    return tuple(published + own)


def confidence(step: Step, found: Sequence[Result]) -> Confidence:
    """Judge a step by its results.

    ``contradicted``: a significant change of our own does not have the published direction.
    ``strong``: every change tested is significant. ``noise``: one is not. A published change of
    zero is no gain, so if the step was not adopted, a loss does not contradict it.
    """
    tested = tuple(result for result in found if result.verdict != UNTESTED)
    claimed = next((result.sign for result in found if result.data is None), None)
    if claimed == 0 and not step.adopted:
        claimed = -1
    against = tuple(
        result
        for result in tested
        if result.data is not None and result.sure and claimed not in (None, result.sign)
    )
    if against:
        return Confidence(CONTRADICTED, against)
    if not tested:
        return Confidence(NO_TEST, ())
    unsure = tuple(result for result in tested if not result.sure)
    return Confidence(NOISE, unsure) if unsure else Confidence(STRONG, tested)


def _published(roadmap: str) -> list[tuple[str, Result]]:
    """Return the published change of each step, tested where deviations are printed."""
    found = ROADMAPS[roadmap]
    rows = {row["key"]: row for row in step_rows(roadmap) if row["top1"] is not None}
    changes: dict[str, Result] = {}
    for key, row in rows.items():
        before = found.previous(key)
        if before and before.key in rows:
            changes[key] = _published_change(roadmap, rows[before.key], row)
    tested = {key: change.p for key, change in changes.items() if change.p is not None}
    for key, p in zip(tested, holm(list(tested.values())), strict=True):
        changes[key] = replace(changes[key], p=p, verdict=verdict(changes[key].change, p))
    return list(changes.items())


def _published_change(roadmap: str, before: dict[str, Any], after: dict[str, Any]) -> Result:
    change = round(after["top1"] - before["top1"], 3)  # published figures have up to three decimals
    stds = before["top1_std"], after["top1_std"]
    if None in stds:
        seeds = 1 if stds[1] is None else PAPER_SEEDS
        return Result(roadmap=roadmap, data=None, seeds=seeds, change=change)
    pair = zip((before["top1"], after["top1"]), stds, strict=True)
    test = welch_test_of(*(Sample(mean, std, PAPER_SEEDS) for mean, std in pair))
    return Result(
        roadmap=roadmap,
        data=None,
        seeds=PAPER_SEEDS,
        change=change,
        low=test.low,
        high=test.high,
        p=test.p,
    )


def _own(roadmap: str) -> list[tuple[str, Result]]:
    return [
        (
            row["key"],
            Result(
                roadmap=roadmap,
                data=row["data"],
                seeds=int(row["n"]),
                change=float(row["change"]),
                low=number_in(row["change_low"]),
                high=number_in(row["change_high"]),
                p=number_in(row["p_holm"]),
                verdict=row["verdict"],
            ),
        )
        for row in report_rows(roadmap)
        if row["change"]
    ]
