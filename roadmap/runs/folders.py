"""The folders that runs are written to and read from."""

from __future__ import annotations

import os
from pathlib import Path

from roadmap.tables.results import own_results, results_folders

#: Environment variable: a folder of runs to use instead of ``results/runs``.
RUNS_VARIABLE = "ROADMAP_RUNS"


def runs_folder() -> Path:
    """Return the folder that runs are written to.

    It is ``ROADMAP_RUNS``, or ``runs`` in ``own_results()``.
    """
    return Path(os.environ.get(RUNS_VARIABLE) or own_results() / "runs").absolute()


def runs_folders() -> tuple[Path, ...]:
    """Return the folders that runs are read from.

    They are ``ROADMAP_RUNS``, or ``runs`` in each of ``results_folders()``.
    """
    if os.environ.get(RUNS_VARIABLE):
        return (runs_folder(),)
    return tuple(folder / "runs" for folder in results_folders())
