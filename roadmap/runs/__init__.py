"""Training runs on disk: ``results/runs/<data>/<run>/`` with ``run.json`` and ``metrics.csv``.

``record`` reads and writes run.json, ``metrics`` reads metrics.csv, ``reader`` lists the runs in
folders. Imports no torch and no pandas.
"""

from roadmap.runs.reader import (
    Machine,
    PointRun,
    Run,
    Runs,
    RunsReader,
    StepRun,
    TunedRun,
    Unreadable,
    curves,
    judged_by,
    read_run,
    read_runs,
)
from roadmap.runs.record import STATUSES, RunPoint

__all__ = [
    "STATUSES",
    "Machine",
    "PointRun",
    "Run",
    "RunPoint",
    "Runs",
    "RunsReader",
    "StepRun",
    "TunedRun",
    "Unreadable",
    "curves",
    "judged_by",
    "read_run",
    "read_runs",
]
