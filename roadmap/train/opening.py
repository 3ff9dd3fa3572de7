"""Opening a run's folder: it is new, finished, to be resumed, or another run's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from models.text import ended
from roadmap.errors import RefusedError
from roadmap.files import read_json, remove_partial
from roadmap.runs.lock import FolderLock
from roadmap.runs.record import (
    RECORD,
    Conventions,
    NewerSchemaError,
    RecordError,
    RunRecord,
    data_conventions,
    read_record,
    today,
    write_record,
)
from roadmap.train.checkpoint import Checkpoint, load_checkpoint
from roadmap.train.data.class_names import ClassNamesError, places
from roadmap.train.distributed import World
from roadmap.train.same_run import compared, free_folder, listed, options, run_differences
from roadmap.train.settings import flat_differences

#: Required entries of a checkpoint's state.
STATE = ("identity", "step", "history", "epoch_seconds", "wall_seconds", "energy_joules")
#: Fields that reveal a change of the data.
DATA = ("name", "classes", "train_images", "val_images", "sha256")
ACCEPT = "--accept-changed-data"


def _compared(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two runs must share, plus EXIF orientation, which old runs do not record."""
    turned = data_conventions(facts.get("data")).exif_orientation
    more = {"data.exif_orientation": turned, "processes": facts.get("processes", 1)}
    return compared(facts) | more


def open_run(
    path: Path,
    record: RunRecord,
    world: World,
    *,
    accept: bool,
    say: Callable[[str], None],
) -> tuple[RunRecord, Checkpoint | None]:
    """Claim a run's folder for the run of ``record``; return the record as now in run.json and the
    checkpoint to resume from.

    Every process calls it and gets the same; the main process writes run.json. If the folder's run
    is finished, its record is returned and nothing changes. With ``accept``, the data may have
    changed.

    Raises ``RefusedError`` for another run, for changed data that is not accepted, and if the
    folder cannot be written; ``TrainingError`` if all checkpoints are damaged.
    """
    folder = _Folder(path, record, accept, say)
    opened, state = world.share(folder.open)
    if opened.status == "finished" or state is None:
        return opened, None
    tensors = world.share_tensors(folder.checkpoint and folder.checkpoint.tensors)
    return opened, Checkpoint(tensors, state)


@contextmanager
def locked(path: Path, world: World, say: Callable[[str], None]) -> Iterator[None]:
    """While entered, no other process trains in the folder.

    Raises ``FolderInUseError``, and ``RefusedError`` if the folder cannot be written.
    """
    with ExitStack() as stack:
        works = world.share(lambda: stack.enter_context(FolderLock(path)).exists)
        if not works:
            say(
                f"{path} is on a file system without locks: make sure that no other process "
                "trains in it"
            )
        yield


def conventions(path: Path) -> Conventions:
    """Return the conventions of the run in the folder.

    A new run rotates images; a run that does not record it was trained on images as stored. A
    folder that cannot be read is reported when it is opened.
    """
    checkpoints: list[Path] = []
    with suppress(OSError):
        checkpoints = sorted((path / "checkpoints").glob("step-*.json"), reverse=True)
    with suppress(OSError, RecordError):
        if (record := read_record(path)) is not None:
            return data_conventions(record.data_json())
    for checkpoint in checkpoints:
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            return data_conventions(read_json(checkpoint)["state"]["identity"]["data"])
    return Conventions(True, None)


class _Folder:
    """Opens a folder for the run of ``record``; changes of its data may be accepted.

    ``checkpoint`` is the newest complete one, once ``open`` has returned.
    """

    def __init__(
        self,
        path: Path,
        record: RunRecord,
        accept: bool,
        say: Callable[[str], None],
    ):
        self._path, self._own = path, record
        self._accept, self._say = accept, say
        #: Every accepted change of the data: the step, and the data before and after.
        self._changes: list[dict[str, Any]] = []
        #: Class names of the run so far; None if unknown.
        self._class_names: list[str] | None = None
        self.checkpoint: Checkpoint | None = None

    def open(self) -> tuple[RunRecord, dict[str, Any] | None]:
        """Return the run's record, as now in run.json, and the checkpoint's state."""
        try:
            return self._open()
        except OSError as error:
            raise RefusedError(f"cannot write to {self._path}: {error.strerror}") from None

    def _open(self) -> tuple[RunRecord, dict[str, Any] | None]:
        remove_partial(self._path)
        record, fault = self._record()
        if record is not None:
            self._refuse_other_run(record.to_json())
            if record.status == "finished":
                self._follow(_earlier(record), step=None)
                return record, None
        self.checkpoint = load_checkpoint(self._path / "checkpoints", self._say, STATE)
        state = self.checkpoint.state if self.checkpoint else None
        earlier = [_earlier(record)] if record else []
        if state is not None:
            kept = {name: state.get(name) for name in ("steps_per_epoch", "data_changes")}
            earlier.append({**state["identity"], **kept})
            self._refuse_other_run(earlier[-1])
        for one in earlier:
            self._follow(one, state["step"] if state else 0)
        if fault is not None:
            self._set_aside(fault)
        # Batches per epoch stay, even if the number of images has changed.
        steps = [one["steps_per_epoch"] for one in earlier if one.get("steps_per_epoch")]
        opened = dataclasses.replace(
            self._own,
            steps=0,
            steps_per_epoch=steps[0] if steps else self._own.steps_per_epoch,
            data_changes=self._changes,
            class_names=self._own.class_names or self._class_names,
        )
        write_record(self._path, opened)
        return opened, state

    def _record(self) -> tuple[RunRecord | None, str | None]:
        """Return the record in run.json, or what is wrong with it."""
        try:
            return read_record(self._path), None
        except OSError as error:
            raise RefusedError(f"{self._path / RECORD} cannot be read: {error.strerror}") from None
        except NewerSchemaError as error:
            raise RefusedError(f"{self._path} holds another run: {error}") from None
        except RecordError as error:
            return None, str(error).rstrip(".")

    def _set_aside(self, fault: str) -> None:
        """Continue without a damaged run.json if nothing is lost by that."""
        path = self._path / RECORD
        if self.checkpoint is None and any(self._path.glob("*.safetensors")):
            raise RefusedError(
                f"{path} is damaged ({fault}), and the folder has weights but no checkpoint to "
                "resume from: restore run.json, or use another --output"
            )
        kept = path.with_name(f"{RECORD}.damaged")
        path.replace(kept)
        then = "resuming from the checkpoint" if self.checkpoint else "starting from the beginning"
        self._say(f"{path} is damaged ({fault}); renamed it to {kept.name}; {then}")

    def _refuse_other_run(self, before: Mapping[str, Any]) -> None:
        found = run_differences(_compared(before), _compared(self._own.to_json()))
        if found:
            other = free_folder(self._path.parent) / self._path.name
            given = options(found, before)
            same = f", add {given} to resume that run" if given else ""
            raise RefusedError(
                f"{self._path} holds another run: {listed(found)}. Use another --output, such as "
                f"{other}{same}, or delete the folder"
            )

    def _follow(self, before: Mapping[str, Any], step: int | None) -> None:
        """Refuse other classes and changed data, or accept and record the change.

        ``step`` is None for a finished run, which changed data can no longer affect.
        """
        self._changes = self._changes or list(before.get("data_changes") or ())
        there = before["data"]
        names = self._class_names = self._class_names or there.get("class_names")
        own = self._own.class_names
        if names and own:
            self._refuse_other_classes(names, own)
        data = self._own.data_json()
        here = {name: data[name] for name in DATA}
        if there.get("sha256") == here["sha256"]:
            if there.get("name") != here["name"]:
                self._say(f"the data was named {there.get('name')} before; its content is the same")
            return
        if there.get("sha256") in [change["before"].get("sha256") for change in self._changes]:
            return  # accepted earlier, but not yet in a checkpoint
        self._accept_change({name: there.get(name) for name in DATA}, here, step)
        if not names or not own:
            self._say("the class names cannot be compared: one of the two data sets has none")

    def _refuse_other_classes(self, before: Sequence[str], now: Sequence[str]) -> None:
        try:
            places(now, before, (self._own.data, str(self._path)))
        except ClassNamesError as error:
            raise RefusedError(
                f"{self._path} contains a run with different classes: {ended(error)} Use another "
                "--output"
            ) from None

    def _accept_change(self, there: dict[str, Any], here: dict[str, Any], step: int | None) -> None:
        found = flat_differences(there, here)
        changed = listed({f"data.{name}": pair for name, pair in found.items()})
        if not self._accept:
            raise RefusedError(
                f"{self._path} contains a run on different data: {changed}. If you changed the "
                f"data on purpose, for example to remove a damaged image, add {ACCEPT}: the run "
                "then resumes, and run.json records the change. Otherwise use another --output"
            )
        if step is None:
            self._say(f"the data has changed since the run finished: {changed}")
            return
        self._say(f"the data has changed; recorded in run.json: {changed}")
        self._changes.append({"step": step, "date": today(), "before": there, "after": here})


def _earlier(record: RunRecord) -> dict[str, Any]:
    """Return what a record and a checkpoint both contain about a resumed run."""
    changes = list(record.data_changes)
    return record.identity() | {"steps_per_epoch": record.steps_per_epoch, "data_changes": changes}
