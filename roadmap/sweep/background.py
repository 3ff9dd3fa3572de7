"""Start, find and stop a sweep in the background of this machine.

Each folder of runs has at most one. Its ``.background`` folder has a lock that the process holds,
its description (``task.json``) and its output. Imports no torch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from roadmap import visitors
from roadmap.errors import RefusedError
from roadmap.files import read_json
from roadmap.steps import ROADMAPS
from roadmap.study.design import DESIGNS, Design, read_design
from roadmap.tables.results import START
from roadmap.train.pocket import EPOCHS

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

FOLDER, LOCK, TASK, OUTPUT = ".background", "lock", "task.json", "output.txt"
#: The design of a task, beside it.
DESIGN = "design.json"
#: The steps at the study's learning rates, and the length whose points ``study_design`` takes.
STUDY, STUDY_EPOCHS = DESIGNS / "confirmation.json", 10
DIGITS = "digits"
#: Niceness: lower priority than the page server.
NICE = 5
#: Bytes read from the end of the output.
TAIL = 4000
_TURN = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Task:
    """A background process: ``steps`` (all if empty) with ``seeds``, as pocket networks.

    ``source`` is the data as in ``--data``, None for the digits. With ``design``, it trains
    ``study_design`` instead, whose networks have full size. ``pid`` is its process, 0 before it
    starts; ``stopped`` says whether it was asked to stop.
    """

    roadmap: str
    steps: tuple[str, ...]
    seeds: tuple[int, ...]
    epochs: int
    source: str | None = None
    design: bool = False
    pid: int = 0
    stopped: bool = False

    @property
    def data(self) -> str:
        """The name of its data folder, which depends on the length of its runs."""
        if self.design:  # where `sweep --design` trains it, so that either resumes the other
            return source_name(self.source)
        name = source_name(self.source) + ("" if self.source is None else "-pocket")
        return name if self.epochs == EPOCHS else f"{name}-{self.epochs}-epochs"

    @property
    def runs(self) -> tuple[str, ...]:
        """The names of its run folders, in order."""
        if self.design:
            design = study_design()
            return tuple(f"{design.name}-{one.key}-seed{one.seed}" for one in design.points)
        keys = self.steps or ROADMAPS[self.roadmap].keys
        return tuple(f"{self.roadmap}-{key}-seed{seed}" for seed in self.seeds for key in keys)

    def command(self, root: Path) -> list[str]:
        """Return the command that starts it; ``root`` contains the data sets' folders."""
        words = [sys.executable, "-m", "roadmap", "sweep"]
        if self.design:
            words += ["--design", str((root / FOLDER / DESIGN).absolute())]
        else:
            words += ["--roadmap", self.roadmap]
            words += [word for step in self.steps for word in ("--step", step)]
            words += ["--seeds", *map(str, self.seeds), "--scale", "pocket"]
            if self.epochs != EPOCHS:
                words += ["--epochs", str(self.epochs)]
        words += ["--device", "cpu"] if self.source is None else ["--data", self.source]
        return [*words, "--output", str((root / self.data).absolute())]


def source_name(source: str | None) -> str:
    """Return the name of the folder for runs on ``source``, the data as in ``--data``."""
    if source is None:
        return DIGITS
    return Path(source).name.lstrip(".") or "data"


@cache
def study_design() -> Design:
    """Return the shortest runs that confirm the study: every step at its learning rate for 10
    epochs, with two seeds."""
    design = read_design(STUDY)
    lengths = ((point, design.space.training(point.levels).epochs) for point in design.points)
    points = tuple(point for point, epochs in lengths if epochs == STUDY_EPOCHS)
    return replace(design, points=points)


def study_task(source: str) -> Task:
    """Return the task that trains ``study_design`` on ``source``."""
    design = study_design()
    seeds = tuple(sorted({point.seed for point in design.points}))
    roadmap = design.space.roadmap
    return Task(
        roadmap=roadmap, steps=(), seeds=seeds, epochs=STUDY_EPOCHS, source=source, design=True
    )


def start(root: Path, task: Task) -> None:
    """Start ``task``, which outlives this process.

    Raises ``RefusedError`` if the visitor may not train, a task is running, or the system does not
    allow it.
    """
    visitors.require_owner("Training")
    if fcntl is None:
        raise RefusedError(
            "Training cannot be started from the page on Windows: use the command line."
        )
    folder = root / FOLDER
    with _TURN:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / LOCK).open("w") as lock:
                # The process inherits the open file and its lock, which ends with the process, so
                # the stored process id is valid as long as the lock is held.
                _lock(lock, folder)
                if task.design:
                    study_design().save(folder / DESIGN)
                with (folder / OUTPUT).open("w") as output:
                    _begin(root, task, lock, output)
        except BlockingIOError:
            raise RefusedError(
                "Training is already running: wait for it to end, or stop it."
            ) from None
        except OSError as error:
            raise RefusedError(f"Training cannot be started: {error.strerror}.") from None


def _lock(lock: Any, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        raise RefusedError(
            f"Training cannot be started from the page: {folder} is on a file system without "
            "locks, which are needed to track it. Use the command line."
        ) from None


def _begin(root: Path, task: Task, lock: Any, output: Any) -> None:
    # Runs on the digits take seconds on a CPU: they leave the GPUs to others.
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if task.source is None else {}
    process = subprocess.Popen(
        task.command(root),
        cwd=START,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=os.environ | hidden,
        pass_fds=[lock.fileno()],
        start_new_session=True,
    )
    threading.Thread(target=process.wait, daemon=True).start()  # so that no zombie remains
    os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    _write(root, {**asdict(task), "pid": process.pid})


def stop(root: Path) -> None:
    """Ask the running task, if any, to save and stop.

    Raises ``RefusedError`` if the visitor may not stop training.
    """
    visitors.require_owner("Stopping training")
    with _TURN:
        task = read_task(root)
        # A second signal would end it without saving.
        if task is None or task.stopped or not _held(root):
            return
        _write(root, {**asdict(task), "stopped": True})
        try:
            os.kill(task.pid, signal.SIGTERM)
        except ProcessLookupError:
            return


def is_running(root: Path) -> bool:
    """Whether the last started process is still running."""
    with _TURN:
        return _held(root)


def read_task(root: Path) -> Task | None:
    """Return the last started task, running or not; None if unknown."""
    try:
        found = read_json(root / FOLDER / TASK)
        task = Task(**{**found, "steps": tuple(found["steps"]), "seeds": tuple(found["seeds"])})
        known = set(task.steps) <= set(ROADMAPS[task.roadmap].keys)
        whole = all(isinstance(n, int) for n in (*task.seeds, task.epochs, task.pid))
        source = task.source
        whole &= source is None or (isinstance(source, str) and source != "" and "\0" not in source)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return task if known and whole and task.seeds and task.epochs > 0 and task.pid > 1 else None


def output_lines(root: Path) -> list[str]:
    """Return the last lines of its output, without empty ones."""
    return last_lines(root / FOLDER / OUTPUT)


def last_lines(path: Path) -> list[str]:
    """Return the lines in the last 4 kB of a log, without empty ones."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line.rstrip() for line in lines if line.strip()]


def _held(root: Path) -> bool:
    if fcntl is None:
        return False
    try:
        with (root / FOLDER / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released with the file
    except BlockingIOError:
        return True
    except OSError:  # no file, or a file system without locks
        return False
    return False


def _write(root: Path, content: dict[str, Any]) -> None:
    """Write atomically, since others may read at any time."""
    path = root / FOLDER / TASK
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
