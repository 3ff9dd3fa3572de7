"""The training runs in folders: what was trained, how far it came, what it scored."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from models.text import is_unicode
from roadmap.files import reason
from roadmap.runs.folders import runs_folders
from roadmap.runs.lock import is_locked
from roadmap.runs.metrics import METRICS, epochs_done
from roadmap.runs.record import RECORD, RecordError, RunPoint, RunRecord, read_record
from roadmap.steps import ROADMAPS, Roadmap, unknown_name

#: Those of runs whose process is, or was last seen, gone or going: told by the lock alone.
UNSETTLED = ("running", "stopped")


class Machine(NamedTuple):
    """What runs are trained on, and how: only on one do their seconds compare."""

    device: str
    compiled: bool
    processes: int

    def __str__(self) -> str:
        devices = self.device if self.processes == 1 else f"{self.processes} × {self.device}"
        return f"{devices}, {'compiled' if self.compiled else 'eager'}"


@dataclass(frozen=True, kw_only=True)
class Run(RunRecord):
    """A run record with its folder ``path`` and what metrics.csv says.

    ``epochs`` are the epochs done and ``seconds`` theirs: training with its data loading, without
    validation, start-up and compilation.
    """

    path: Path
    epochs: int
    seconds: float

    @property
    def finished(self) -> bool:
        return self.status == "finished"

    @property
    def machine(self) -> Machine:
        return Machine(self.device, self.compiled, self.processes)

    @property
    def top1(self) -> float:
        """Of a finished run, in percent, by the weights that were trained, not their average."""
        score = self.scores["top1"]
        assert score is not None  # no record of a finished run is read without it
        return float(score)


@dataclass(frozen=True, kw_only=True)
class StepRun(Run):
    """A run of a step."""

    step: str


@dataclass(frozen=True, kw_only=True)
class PointRun(Run):
    """A run of a point of a design."""

    point: RunPoint = field(hash=False)


class Unreadable(NamedTuple):
    """A folder that holds no whole run, and one sentence that says why."""

    path: Path
    why: str


class Runs(NamedTuple):
    """What a folder of runs holds: ``runs`` of steps, and ``points`` of designs."""

    runs: tuple[StepRun, ...]
    unreadable: tuple[Unreadable, ...]
    points: tuple[PointRun, ...] = ()


def read_runs(root: Path | None = None) -> Runs:
    """Every run in the folders ``<data>/<run>/`` of ``root``, in the order of their names.

    ``root`` None is all of ``runs_folders()``.

    A folder that cannot be read is listed and never raises; without ``root`` there are no runs.
    To tell whether a ``running`` run still is, its lock is tried, so do not call this in a
    process that trains.
    """
    return RunsReader(*((root,) if root else runs_folders())).read()


class RunsReader:
    """``read_runs`` for those who ask again and again: only what has changed is read anew.

    Of runs with the same names in several of ``roots``, the first root's is read.
    """

    def __init__(self, *roots: Path):
        self._roots = roots
        self._kept: dict[Path, tuple[Any, Run | Unreadable]] = {}
        self._turn = threading.Lock()

    def read(self) -> Runs:
        with self._turn:
            kept: dict[Path, tuple[Any, Run | Unreadable]] = {}
            for found in _folders(self._roots):
                if isinstance(found, Unreadable):
                    kept[found.path] = None, found
                else:
                    kept[found] = self._read(found)
            self._kept = kept
        read = [run for _, run in kept.values()]
        return Runs(
            tuple(run for run in read if isinstance(run, StepRun)),
            tuple(run for run in read if isinstance(run, Unreadable)),
            tuple(run for run in read if isinstance(run, PointRun)),
        )

    def _read(self, folder: Path) -> tuple[Any, Run | Unreadable]:
        stamp = tuple(_stamp(folder / name) for name in (RECORD, METRICS))
        before = self._kept.get(folder)
        # Whether a run still goes on is not in its files.
        if before and before[0] == stamp and getattr(before[1], "status", "") not in UNSETTLED:
            return before
        return stamp, read_run(folder)


def judged_by(roadmap: Roadmap, step: str) -> str:
    """The column of the scores and of metrics.csv that ``step`` is judged by."""
    return "top1" if roadmap.recipe(step).ema_decay is None else "ema_top1"


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _folders(roots: Iterable[Path]) -> Iterator[Path | Unreadable]:
    """The run folders of each data set's folder, or what cannot be listed."""
    taken: set[tuple[str, str]] = set()
    for root in roots:
        for data in _listed(root):
            if isinstance(data, Unreadable):
                yield data
                continue
            for found in _listed(data):
                if isinstance(found, Unreadable):
                    yield found
                elif (name := (data.name, found.name)) not in taken:
                    taken.add(name)
                    yield found


def _listed(folder: Path) -> list[Path | Unreadable]:
    try:
        inside = sorted(folder.iterdir())
        found = [path for path in inside if not path.name.startswith(".") and path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Unreadable(folder, f"The folder cannot be listed: {reason(error)}.")]
    return [path if is_unicode(path.name) else _misnamed(path) for path in found]


def _misnamed(path: Path) -> Unreadable:
    """A folder whose name no page and no file can hold, under one that they can."""
    name = path.name.encode(errors="backslashreplace").decode()
    return Unreadable(path.with_name(name), "The folder's name is not Unicode: rename it.")


def read_run(folder: Path) -> StepRun | PointRun | Unreadable:
    """The run in ``folder``, wherever it is; never raises. Not in a process that trains."""
    try:
        return _run(folder)
    except OSError as error:
        return Unreadable(folder, f"{RECORD} cannot be read: {reason(error)}.")
    except RecordError as error:
        remedy = ""
        if "not valid JSON" in str(error) and any((folder / "checkpoints").glob("*.json")):
            remedy = " The command that trained the run writes it again from a checkpoint."
        return Unreadable(folder, f"{error}{remedy}")


def _run(folder: Path) -> StepRun | PointRun:
    record = read_record(folder)
    if record is None:
        raise RecordError(f"There is no {RECORD}.")
    _check_known(record)
    epochs, seconds = epochs_done(folder / METRICS)
    if record.status == "finished" and epochs != record.recipe["epochs"]:
        raise RecordError(
            f"The run is finished after {record.recipe['epochs']} epochs, and {METRICS} has "
            f"{epochs}."
        )
    gone = record.status == "running" and is_locked(folder) is False
    facts = vars(record) | {"status": "stopped" if gone else record.status}
    kind = PointRun if record.point else StepRun
    return kind(path=folder, epochs=epochs, seconds=seconds, **facts)


def _check_known(record: RunRecord) -> None:
    """Refuse a run of another version's roadmap or step."""
    name, step = record.roadmap, record.step
    if name not in ROADMAPS:
        raise RecordError(f"{RECORD}: {unknown_name('roadmap', name, tuple(ROADMAPS))}")
    if step is not None and step not in ROADMAPS[name].keys:
        raise RecordError(f"{RECORD}: {unknown_name(f'step of {name}', step, ROADMAPS[name].keys)}")
