"""Planned runs of a sweep, and what runs leave in their folders."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from planned_runs import planned_record

from roadmap.files import write_csv
from roadmap.runs.metrics import COLUMNS, METRICS
from roadmap.sweep.plan import PlannedRun, plan_runs
from roadmap.train.data.sources import open_source

ROOT = Path(__file__).parents[2]


def planned(
    root: Path, steps=("kernel_7", "gelu"), seeds=(0, 1), skip=(), **more
) -> list[PlannedRun]:
    options = {"recipe": None, "changes": {"epochs": 4}, "image_size": None} | more
    return plan_runs("resnet50", steps, skip, seeds, root, **options)


def write_metrics(run: PlannedRun, top1: Sequence[float]) -> Path:
    """metrics.csv of ``run``, with an epoch of one second for each of ``top1``."""
    path = run.folder / METRICS
    rows = [{"epoch": n, "top1": score, "seconds": 1} for n, score in enumerate(top1, 1)]
    write_csv(path, COLUMNS, [dict.fromkeys(COLUMNS) | row for row in rows])
    return path


def write_run(run: PlannedRun, status: str = "finished", **more: object) -> None:
    """run.json of ``run``, on digits and a CPU, with ``more`` in place of some of its fields."""
    settings = replace(run.settings, device="cpu", compiled=False)
    record = planned_record(settings, open_source(None), status)
    content = json.loads(json.dumps(record.to_json()))
    data = content["data"] | more.pop("data", {})
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "run.json").write_text(json.dumps(content | more | {"data": data}))


def training_in(folder: Path) -> subprocess.Popen:
    """A process that holds the folder's lock until it is told to end."""
    folder.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys; from pathlib import Path; from roadmap.runs.lock import FolderLock\n"
        "with FolderLock(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    assert process.stdout.readline() == "locked\n"
    return process
