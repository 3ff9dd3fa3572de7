"""Read the training runs in folders: settings, progress and scores."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from models.remembered import remembered
from models.text import ended, is_unicode, shortened, unknown_name
from roadmap.definition import Roadmap
from roadmap.files import reason
from roadmap.runs.folders import runs_folders
from roadmap.runs.lock import is_locked
from roadmap.runs.metrics import COLUMNS, METRICS, epochs_done, read_columns
from roadmap.runs.record import RECORD, RecordError, RunPoint, RunRecord, RunStart, read_record
from roadmap.steps import ROADMAPS
from roadmap.tables.results import ResultsError

#: Statuses that depend on whether a process is still training, which only the lock shows.
UNSETTLED = ("running", "stopped")
LONGEST_TITLE = 60  # characters of a name from a file
MOST_VALUES = 1_000_000  # of learning curves cached, 32 bytes each


class Machine(NamedTuple):
    """The hardware and mode of a run. Seconds are only comparable on the same machine."""

    device: str
    compiled: bool
    processes: int

    def __str__(self) -> str:
        devices = self.device if self.processes == 1 else f"{self.processes} × {self.device}"
        return f"{devices}, {'compiled' if self.compiled else 'eager'}"


@dataclass(frozen=True, kw_only=True)
class Run(RunRecord):
    """A run record with its folder ``path`` and its progress according to metrics.csv.

    ``epochs`` counts completed epochs. ``seconds`` is their total time: training and data loading,
    without validation, start-up and compilation.
    """

    path: Path
    epochs: int
    seconds: float

    @property
    def finished(self) -> bool:
        return self.status == "finished"

    @property
    def title(self) -> str:
        """What was trained, for people: the step and the seed."""
        return f"{self._subject}, seed {self.seed}"

    @property
    def _subject(self) -> str:
        raise NotImplementedError

    @property
    def machine(self) -> Machine:
        return Machine(self.device, self.compiled, self.processes)

    @property
    def top1(self) -> float:
        """Top-1 of a finished run, in percent, with the trained weights (not their average)."""
        score = self.scores["top1"]
        assert score is not None  # the reader refuses finished runs without it
        return float(score)


@dataclass(frozen=True, kw_only=True)
class StepRun(Run):
    """A run of a step."""

    step: str

    @property
    def _subject(self) -> str:
        return ROADMAPS[self.roadmap].step(self.step).full_title


@dataclass(frozen=True, kw_only=True)
class PointRun(Run):
    """A run of a point in a design."""

    point: RunPoint = field(hash=False)

    @property
    def _subject(self) -> str:
        key, design = (shortened(name, LONGEST_TITLE) for name in self.point[1::-1])
        return f"Run {key} of design {design}"


@dataclass(frozen=True, kw_only=True)
class TunedRun(Run):
    """A run that fine-tunes trained weights."""

    start: RunStart

    @property
    def _subject(self) -> str:
        roadmap, _, more = self.start.network.partition(":")
        step = more.partition(" ")[0]
        known = roadmap in ROADMAPS and step in ROADMAPS[roadmap].keys
        title = ROADMAPS[roadmap].step(step).full_title if known else self.start.network
        return f"{shortened(title, LONGEST_TITLE)}, fine-tuned"


class Unreadable(NamedTuple):
    """A folder without a readable run. ``why`` is one sentence that says what is wrong."""

    path: Path
    why: str


class Runs(NamedTuple):
    """The runs found in folders: ``runs`` of steps, ``points`` of designs, and ``tuned`` ones that
    started at trained weights, which are therefore not compared with the others."""

    runs: tuple[StepRun, ...]
    unreadable: tuple[Unreadable, ...]
    points: tuple[PointRun, ...] = ()
    tuned: tuple[TunedRun, ...] = ()

    @property
    def every(self) -> tuple[Run, ...]:
        """All runs, of any kind."""
        return (*self.runs, *self.points, *self.tuned)


def read_runs(root: Path | None = None) -> Runs:
    """Read every run in the folders ``<data>/<run>/`` of ``root``, sorted by name.

    If ``root`` is None, reads all of ``runs_folders()``. A folder that cannot be read is listed in
    ``unreadable``; a ``root`` that does not exist has no runs. Never raises.

    Do not call this in a process that is training: it tries the lock of each ``running`` run.
    """
    return RunsReader(*((root,) if root else runs_folders())).read()


class RunsReader:
    """Like ``read_runs``, for repeated calls: reads only the runs that have changed.

    If several ``roots`` have a run of the same name, the first root's run is used.
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
            tuple(run for run in read if isinstance(run, TunedRun)),
        )

    def _read(self, folder: Path) -> tuple[Any, Run | Unreadable]:
        stamp = tuple(_stamp(folder / name) for name in (RECORD, METRICS))
        before = self._kept.get(folder)
        # The files do not show whether a run is still in progress.
        if before and before[0] == stamp and getattr(before[1], "status", "") not in UNSETTLED:
            return before
        return stamp, read_run(folder)


def judged_by(roadmap: Roadmap, step: str) -> str:
    """Return the name of the score, and the column of metrics.csv, by which ``step`` is judged."""
    return "top1" if roadmap.recipe(step).ema_decay is None else "ema_top1"


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _folders(roots: Iterable[Path]) -> Iterator[Path | Unreadable]:
    """Yield the run folders of each data set, and the folders that cannot be listed."""
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
    """Return a folder whose name is not Unicode, with a name that pages can show."""
    name = path.name.encode(errors="backslashreplace").decode()
    return Unreadable(
        path.with_name(name), "The folder name is not valid Unicode; rename the folder."
    )


def read_run(folder: Path) -> StepRun | PointRun | TunedRun | Unreadable:
    """Read the run in ``folder``. Never raises.

    Do not call this in a process that is training (see ``is_locked``).
    """
    try:
        return _run(folder)
    except OSError as error:
        return Unreadable(folder, f"{RECORD} cannot be read: {reason(error)}.")
    except RecordError as error:
        remedy = ""
        if "not valid JSON" in str(error) and any((folder / "checkpoints").glob("*.json")):
            remedy = " Run the training command again to restore it from a checkpoint."
        return Unreadable(folder, f"{ended(error)}{remedy}")


def _run(folder: Path) -> StepRun | PointRun | TunedRun:
    record = read_record(folder)
    if record is None:
        raise RecordError(f"There is no {RECORD}.")
    _check_known(record)
    epochs, seconds = epochs_done(folder / METRICS)
    if record.status == "finished" and epochs != record.recipe["epochs"]:
        raise RecordError(
            f"The run finished after {record.recipe['epochs']} epochs, but {METRICS} has {epochs}."
        )
    gone = record.status == "running" and is_locked(folder) is False
    facts = vars(record) | {"status": "stopped" if gone else record.status}
    kind = TunedRun if record.start else PointRun if record.point else StepRun
    return kind(path=folder, epochs=epochs, seconds=seconds, **facts)


def _check_known(record: RunRecord) -> None:
    """Raise ``RecordError`` for a roadmap or step that this version does not have."""
    name, step = record.roadmap, record.step
    if name not in ROADMAPS:
        raise RecordError(f"{RECORD}: {unknown_name('roadmap', name, tuple(ROADMAPS))}")
    if step is not None and step not in ROADMAPS[name].keys:
        raise RecordError(f"{RECORD}: {unknown_name(f'step of {name}', step, ROADMAPS[name].keys)}")


def _values(columns: dict[str, list[float | None]]) -> int:
    return sum(map(len, columns.values()))


@remembered(MOST_VALUES, _values)
def curves(run: Run) -> dict[str, list[float | None]]:
    """Return the columns of the run's metrics.csv, with one value per epoch.

    The columns are empty until the first epoch ends; an empty cell is None. Cached until the run
    has more epochs. Raises ``ResultsError`` if the table is missing or cannot be read.
    """
    path = run.path / METRICS
    try:
        return read_columns(path)
    except FileNotFoundError:
        if run.epochs == 0:
            return {name: [] for name in COLUMNS}
        raise ResultsError(f"{path} no longer exists") from None
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read: {reason(error)}") from None
