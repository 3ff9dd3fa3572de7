"""Why the digits do not tell the steps apart, in figures of the committed runs."""

from __future__ import annotations

from functools import cache
from statistics import fmean

from roadmap.runs import StepRun, read_run
from roadmap.steps import ROADMAPS
from roadmap.tables.results import RESULTS, step_rows
from roadmap.text import counted, number

ROADMAP = "resnet50"


@cache
def caution() -> str:
    """Return a sentence to put above charts of the digits."""
    published = {row["key"]: row["top1"] for row in step_rows(ROADMAP) if row["top1"] is not None}
    steps = [step for step in ROADMAPS[ROADMAP].steps if step.adopted and step.key in published]
    ends = steps[0], steps[-1]
    ours = [_committed(step.key) for step in ends]
    names = ROADMAPS[ROADMAP].networks
    means = (number(fmean(top1), 1) for top1 in ours)
    here = [f"{name} {mean}%" for name, mean in zip(names, means, strict=True)]
    there = [f"{number(published[step.key], 1)}%" for step in ends]
    seeds = counted(min(map(len, ours)), "seed")
    return (
        f"Digits cannot rank the steps: {here[0]}, {here[1]} ({seeds} each). On ImageNet the "
        f"order is reversed: {there[0]} and {there[1]}. Use them only to try the page out."
    )


def _committed(step: str) -> list[float]:
    folders = sorted((RESULTS / "runs" / "digits").glob(f"{ROADMAP}-{step}-seed*"))
    runs = [read_run(folder) for folder in folders]
    return [run.top1 for run in runs if isinstance(run, StepRun) and run.finished]
