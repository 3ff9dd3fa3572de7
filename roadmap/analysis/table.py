"""An ablation as rows and DataFrames, for reports, files and charts."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Any

from roadmap.analysis.ablation import Ablation, StepResult
from roadmap.runs import curves, judged_by

if TYPE_CHECKING:
    from pandas import DataFrame

#: Columns of ``rows`` that are not numbers.
TEXTS = (
    *("data", "roadmap", "key", "title", "group", "adopted", "seeds", "previous"),
    *("verdict", "timed_on"),
)


def rows(ablation: Ablation) -> list[dict[str, Any]]:
    """Return one flat row per trained step; missing values are None.

    ``number`` is the position of the step in the roadmap, from 1. ``top1*`` and ``paper_top1`` are
    percent; ``change*`` and ``paper_change`` are points. ``seconds`` is the training time on the
    machine ``timed_on``. ``gflops`` is the cost of the full-scale network at 224 pixels. ``p`` is
    not adjusted; ``p_holm`` is adjusted for all changes tested. ``verdict`` is gain, loss,
    inconclusive or untested. ``seeds_needed`` None with a p value means more than 100.
    """
    return [_row(ablation, result) for result in ablation.steps]


def ablation_table(ablation: Ablation) -> DataFrame:
    """Return ``rows`` as a DataFrame indexed by the step's ``key``, for charts."""
    import pandas as pd

    table = pd.DataFrame(rows(ablation)).set_index("key", drop=False).rename_axis(None)
    numbers = [name for name in table if name not in TEXTS]
    return table.astype(dict.fromkeys(numbers, float))  # also columns that are all None


def curve_table(ablation: Ablation) -> DataFrame:
    """Return learning curves, one row per step and epoch.

    Columns: ``key``, ``title``, ``group``, ``epoch``, ``top1`` (percent of the validation images,
    mean over seeds) and ``n`` (number of seeds). Raises ``ResultsError`` if a metrics.csv is
    missing or cannot be read.
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {
        name: [] for name in ("key", "title", "group", "epoch", "top1", "n")
    }
    for result in ablation.steps:
        step = result.step
        measure = judged_by(ablation.roadmap, step.key)
        seeds = [curves(run)[measure] for run in ablation.runs if run.step == step.key]
        for epoch, values in enumerate(zip(*seeds, strict=True), start=1):
            there = [
                value for value in values if value is not None
            ]  # None: the loss was not finite
            mean = fmean(there) if there else math.nan
            row = (step.key, step.title, step.group, epoch, mean, len(there))
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    return pd.DataFrame(columns)


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
        "change": change and change.points,
        "change_low": changed and changed.low,
        "change_high": changed and changed.high,
        "p": changed and changed.p,
        "p_holm": change and change.p,
        "verdict": change and change.verdict,
        "seeds_needed": change and change.seeds_needed,
        "paper_top1": result.paper_top1,
        "paper_change": result.paper_change,
        "gflops": result.gflops,
        "seconds": result.seconds,
        "timed_on": None if result.seconds is None else str(ablation.timed_on),
    }
