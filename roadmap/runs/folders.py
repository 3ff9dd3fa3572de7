"""Where runs are written, and where they are read from."""

from __future__ import annotations

import os
from pathlib import Path

from roadmap.tables.results import own_results, results_folders

#: Names another folder of runs than ``results/runs``.
RUNS_VARIABLE = "ROADMAP_RUNS"


def runs_folder() -> Path:
    """The folder that runs are written to: the one that ``ROADMAP_RUNS`` names, or ``runs`` in
    ``own_results()``."""
    return Path(os.environ.get(RUNS_VARIABLE) or own_results() / "runs").absolute()


def runs_folders() -> tuple[Path, ...]:
    """The folders that runs are read from: the one that ``ROADMAP_RUNS`` names, or ``runs`` in
    ``results_folders()``."""
    if os.environ.get(RUNS_VARIABLE):
        return (runs_folder(),)
    return tuple(folder / "runs" for folder in results_folders())
