"""An ablation as rows and DataFrames, for reports, files and charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from roadmap.analysis.ablation import Ablation, StepResult
from roadmap.definition import Roadmap
from roadmap.runs import StepRun, curves, judged_by

if TYPE_CHECKING:
    from pandas import DataFrame

#: Columns of ``rows`` that are not numbers.
TEXTS = (
    *("data", "roadmap", "key", "title", "group", "adopted", "seeds", "previous"),
    *("verdict", "timed_on"),
)
CURVE_COLUMNS = ("key", "title", "group", "seed", "place", "epoch", "value")


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
    """Return the ``rows_table`` of ``ablation``."""
    return rows_table(rows(ablation))


def rows_table(figures: Sequence[Mapping[str, Any]]) -> DataFrame:
    """Return ``rows`` as a DataFrame indexed by the step's ``key``, for charts."""
    import pandas as pd

    table = pd.DataFrame(figures).set_index("key", drop=False).rename_axis(None)
    numbers = [name for name in table if name not in TEXTS]
    return table.astype(dict.fromkeys(numbers, float))  # also columns that are all None


def curve_table(roadmap: Roadmap, runs: Iterable[StepRun], measure: str = "top1") -> DataFrame:
    """Return the learning curves of ``runs``, by step: one row per run and epoch.

    Columns: ``key``, ``title`` and ``group`` of the step, ``seed``, ``place`` (counts the step's
    runs from 0), ``epoch`` and ``value``. Epochs without a finite value are left out. ``measure``
    is a column of metrics.csv, read from the weight average for steps that are judged by it.
    Raises ``ResultsError`` if a metrics.csv is missing or cannot be read.
    """
    import pandas as pd

    counts = Counter[str]()
    parts = []
    for run in sorted(runs, key=lambda run: roadmap.keys.index(run.step)):
        columns = curves(run)
        values = columns[_column(roadmap, run.step, measure, columns)]
        part = pd.DataFrame({"epoch": columns["epoch"], "value": values}, dtype=float)
        step = roadmap.step(run.step)
        about = {"key": step.key, "title": step.title, "group": step.group, "seed": run.seed}
        parts.append(part.dropna().assign(**about, place=counts[step.key]))
        counts[step.key] += 1
    return pd.concat(parts, ignore_index=True).astype({"epoch": int})[list(CURVE_COLUMNS)]


def _column(
    roadmap: Roadmap, step: str, measure: str, columns: dict[str, list[float | None]]
) -> str:
    """Return the column to read: the weight average's where the step is judged by it."""
    averaged = f"ema_{measure}"
    if judged_by(roadmap, step) == "ema_top1" and any(
        value is not None for value in columns.get(averaged, ())
    ):
        return averaged
    return measure


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
