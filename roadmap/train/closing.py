"""The last line of a run: its scores, its folder, and what to do with it. Imports no torch."""

from __future__ import annotations

import shlex
from pathlib import Path

from roadmap.runs.folders import runs_folder
from roadmap.runs.record import WEIGHTS_OF, RunRecord
from roadmap.train.data.sources import DIGITS


def closing_line(record: RunRecord, folder: Path) -> str:
    """Return a sentence on the finished run of ``record`` in ``folder``."""
    scores = {name: record.scores.get(name) for name in WEIGHTS_OF}
    known = {name: score for name, score in scores.items() if score is not None}
    average = f", average {known['ema_top1']:.2f}%" if "ema_top1" in known else ""
    said = f"finished with top-1 {known['top1']:.2f}%{average}, in {folder}"
    best = max(known, key=lambda name: known[name])
    command = _command(record, folder, folder / WEIGHTS_OF[best])
    return f"{said}{command}"


def _command(record: RunRecord, folder: Path, weights: Path) -> str:
    """Return what to do next: classify pictures, or compare steps on the digits."""
    own = folder.absolute().parent.parent == runs_folder()
    if own and record.data == DIGITS and record.step is not None:
        words = ["report", "--data", DIGITS, "--roadmap", record.roadmap]
        about = "compare it with other steps"
    elif record.config.get("in_channels", 3) == 3 and weights.is_file():
        words = ["predict", "--weights", str(weights), "PATH"]
        about = "classify pictures"
    else:
        return ""
    return f"; to {about}: {shlex.join(['python', '-m', 'roadmap', *words])}"
