"""The training runs under ``results/runs/``: what was trained, how far it came, what it scored.

A run is a folder ``<data>/<run>/`` with ``run.json`` and ``metrics.csv`` as ``roadmap.train.run``
writes them. Imports no torch and no pandas.
"""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from models.text import said
from roadmap.results import ResultsError
from roadmap.steps import ROADMAPS, Roadmap, unknown_name
from roadmap.train.metrics import COLUMNS
from roadmap.train.settings import runs_folders
from roadmap.train.stopping import is_locked

#: What run.json says, and ``stopped``: it says running, and no process is.
STATUSES = ("running", "finished", "interrupted", "failed", "stopped")
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


class RunPoint(NamedTuple):
    """What a run is in a designed experiment (``roadmap.study.design``)."""

    design: str
    key: str
    role: str
    levels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run, finished or not: of a ``step``, or with ``step`` None of a ``point`` of a design.

    ``epochs`` and ``seconds`` are those of the epochs done: training with its data loading,
    without validation, start-up and compilation; ``wall_seconds`` has everything, once the run has
    ended.
    ``scores`` are percent and losses on the validation images after the last epoch (``top1``,
    ``ema_top1`` and so on; empty before the end), ``recipe`` the fields of a ``Recipe`` as JSON
    has them. ``recipe_name`` is None where the step's own was used, ``reason`` says why a run
    stopped.
    """

    path: Path
    status: str
    data: str
    data_sha256: str | None
    classes: int
    train_images: int
    val_images: int
    #: What the validation images are called where they come from: val, valid, test, ...
    val_split: str = "val"
    #: Whether images were turned as their EXIF orientation tag says: not in runs of before.
    exif_orientation: bool = False
    roadmap: str
    step: str | None
    point: RunPoint | None = field(default=None, hash=False)
    seed: int
    scale: str
    recipe_name: str | None
    recipe: Mapping[str, Any] = field(hash=False)
    precision: str
    device: str
    compiled: bool
    processes: int
    versions: Mapping[str, str] = field(hash=False)
    date: str
    epochs: int
    seconds: float
    wall_seconds: float | None
    scores: Mapping[str, float | None] = field(hash=False)
    reason: str | None

    @property
    def finished(self) -> bool:
        return self.status == "finished"

    @property
    def machine(self) -> Machine:
        return Machine(self.device, self.compiled, self.processes)


class Unreadable(NamedTuple):
    """A folder that holds no whole run, and one sentence that says why."""

    path: Path
    why: str


class Runs(NamedTuple):
    """What a folder of runs holds: ``runs`` of steps, and ``points`` of designs."""

    runs: tuple[Run, ...]
    unreadable: tuple[Unreadable, ...]
    points: tuple[Run, ...] = ()


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
        whole = [run for run in read if isinstance(run, Run)]
        return Runs(
            tuple(run for run in whole if run.point is None),
            tuple(run for run in read if isinstance(run, Unreadable)),
            tuple(run for run in whole if run.point is not None),
        )

    def _read(self, folder: Path) -> tuple[Any, Run | Unreadable]:
        stamp = tuple(_stamp(folder / name) for name in ("run.json", "metrics.csv"))
        before = self._kept.get(folder)
        # Whether a run still goes on is not in its files.
        if before and before[0] == stamp and getattr(before[1], "status", "") not in UNSETTLED:
            return before
        return stamp, read_run(folder)


def curves(run: Run) -> dict[str, list[float | None]]:
    """The columns of the run's metrics.csv (``roadmap.train.metrics.COLUMNS``), a value an epoch.

    Empty before the first epoch has ended; None in an empty cell. Raises ``ResultsError`` for a
    table that can no longer be read.
    """
    path = run.path / "metrics.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        cells = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
        return {name: [float(c) if c else None for c in cells.get(name, ())] for name in COLUMNS}
    except FileNotFoundError:
        if run.epochs == 0:
            return {name: [] for name in COLUMNS}
        raise ResultsError(f"{path} is no longer there") from None
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read: {_reason(error)}") from None


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
            for found in [data] if isinstance(data, Unreadable) else _listed(data):
                if isinstance(found, Unreadable):
                    yield found
                elif (name := (data.name, found.name)) not in taken:
                    taken.add(name)
                    yield found


def _listed(folder: Path) -> list[Path | Unreadable]:
    try:
        inside = sorted(folder.iterdir())
        return [path for path in inside if not path.name.startswith(".") and path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Unreadable(folder, f"The folder cannot be listed: {_reason(error)}.")]


def read_run(folder: Path) -> Run | Unreadable:
    """The run in ``folder``, wherever it is; never raises. Not in a process that trains."""
    try:
        facts = _read_facts(folder / "run.json")
        epochs, seconds = _epochs_done(folder / "metrics.csv")
        return _run(folder, facts, epochs, seconds)
    except _NotARunError as error:
        return Unreadable(folder, str(error))


class _NotARunError(ValueError):
    """One sentence on what is wrong with a folder."""


def _read_facts(path: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise _NotARunError(f"There is no {path.name}.") from None
    except OSError as error:
        raise _NotARunError(f"{path.name} cannot be read: {_reason(error)}.") from None
    except (ValueError, RecursionError):
        remedy = ""
        if any((path.parent / "checkpoints").glob("*.json")):
            remedy = " The command that trained the run writes it again from a checkpoint."
        raise _NotARunError(f"{path.name} is not valid JSON; it may be cut off.{remedy}") from None
    if not isinstance(facts, dict):
        raise _NotARunError(f"{path.name} holds no object.")
    return facts


def _run(folder: Path, facts: Mapping[str, Any], epochs: int, seconds: float) -> Run:
    status = _get(facts, "status", str)
    if status not in STATUSES:
        raise _NotARunError(f"run.json has the unknown status {said(status)}.")
    if status == "running" and is_locked(folder) is False:
        status = "stopped"
    data, recipe = _get(facts, "data", dict), _get(facts, "recipe", dict)
    for name in ("epochs", "train_size", "test_size", "batch_size"):
        _count(recipe, name, "recipe.")
    _get(recipe, "optimizer", str, "recipe.")
    _get(recipe, "lr", float | int, "recipe.")
    if status == "finished" and epochs != recipe["epochs"]:
        raise _NotARunError(
            f"The run is finished after {recipe['epochs']} epochs, and metrics.csv has {epochs}."
        )
    return Run(
        path=folder,
        status=status,
        data=_get(data, "name", str, "data."),
        data_sha256=_get(data, "sha256", str | None, "data."),
        classes=_count(data, "classes", "data."),
        train_images=_count(data, "train_images", "data."),
        val_images=_count(data, "val_images", "data."),
        val_split=str(data.get("val_split", "val")),
        exif_orientation=bool(data.get("exif_orientation", False)),
        **_place(facts),
        scale=_get(facts, "scale", str),
        recipe_name=_get(facts, "recipe_name", str | None),
        recipe=recipe,
        precision=_get(facts, "precision", str),
        device=_get(facts, "device", str),
        compiled=_get(facts, "compiled", bool),
        processes=_get(facts, "processes", int),
        versions=_get(facts, "versions", dict),
        date=_get(facts, "date", str),
        epochs=epochs,
        seconds=seconds,
        wall_seconds=_get(facts, "wall_seconds", float | int | None),
        scores=_scores(facts) if status == "finished" else {},
        reason=facts.get("reason"),
    )


def _place(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Roadmap, seed, and the step, which exist, or the point of a design."""
    roadmap, seed = _get(facts, "roadmap", str), _get(facts, "seed", int)
    if roadmap not in ROADMAPS:
        raise _NotARunError(f"run.json: {unknown_name('roadmap', roadmap, tuple(ROADMAPS))}")
    if facts.get("point") is not None:
        return {"roadmap": roadmap, "step": None, "point": _point(facts), "seed": seed}
    step = _get(facts, "step", str)
    if step not in ROADMAPS[roadmap].keys:
        kind = f"step of {roadmap}"
        raise _NotARunError(f"run.json: {unknown_name(kind, step, ROADMAPS[roadmap].keys)}")
    return {"roadmap": roadmap, "step": step, "seed": seed}


def _point(facts: Mapping[str, Any]) -> RunPoint:
    point = _get(facts, "point", dict)
    levels = _get(point, "levels", dict, "point.")
    for name in levels:
        _get(levels, name, str, "point.levels.")
    words = [_get(point, name, str, "point.") for name in ("design", "key", "role")]
    return RunPoint(*words, levels)


def _scores(facts: Mapping[str, Any]) -> Mapping[str, float | None]:
    """The scores of a finished run, top-1 of the raw weights always among them."""
    scores = _get(facts, "scores", dict)
    _get(scores, "top1", float | int, "scores.")
    for name in ("top1", "ema_top1"):
        top1 = _get(scores, name, float | int | None, "scores.")
        if top1 is not None and not 0 <= top1 <= 100:  # nor NaN
            raise _NotARunError(f"run.json has {top1} as scores.{name}, which is no percentage.")
    return scores


def _get(facts: Mapping[str, Any], name: str, kind: Any, place: str = "") -> Any:
    """The value of a field that must be there and of ``kind``."""
    if name not in facts:
        raise _NotARunError(f"run.json has no {place}{name}.")
    value = facts[name]
    # JSON's true is no number, although Python's is.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _NotARunError(f"run.json has {said(value, 40)} as {place}{name}.")
    return value


def _count(facts: Mapping[str, Any], name: str, place: str) -> int:
    value = _get(facts, name, int, place)
    if value < 1:
        raise _NotARunError(f"run.json has {value} as {place}{name}.")
    return value


def _epochs_done(path: Path) -> tuple[int, float]:
    """Rows of metrics.csv and their seconds together; none before the first epoch has ended."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0, 0.0
    except OSError as error:
        raise _NotARunError(f"{path.name} cannot be read: {_reason(error)}.") from None
    lines = content.replace(b"\r\n", b"\n").split(b"\n")  # Git may write either
    header = lines[0].split(b",")
    if header != [name.encode() for name in COLUMNS]:
        raise _NotARunError(f"{path.name} does not begin with the columns of a run.")
    if lines.pop():
        raise _NotARunError(f"{path.name} is cut off in line {len(lines) + 1}.")
    column, seconds = header.index(b"seconds"), 0.0
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split(b",")
        try:
            seconds += float(cells[column])
        except (IndexError, ValueError):
            raise _NotARunError(f"{path.name} is damaged in line {number}.") from None
    return len(lines) - 1, seconds


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
