"""Opening a run's folder: it is new, finished, to be resumed, or another run's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from models.text import ended
from roadmap.errors import RefusedError
from roadmap.files import read_json, remove_partial
from roadmap.runs.record import (
    RECORD,
    NewerSchemaError,
    RecordError,
    RunRecord,
    read_record,
    write_record,
)
from roadmap.train.checkpoint import Checkpoint, load_checkpoint
from roadmap.train.data.batches import Data
from roadmap.train.data.class_names import ClassNamesError
from roadmap.train.distributed import World
from roadmap.train.same_run import compared, differences, free_folder, listed, options
from roadmap.train.settings import flat_differences
from roadmap.train.stopping import FolderLock

#: Required entries of a checkpoint's state.
STATE = ("identity", "step", "history", "epoch_seconds", "wall_seconds", "energy_joules")
#: Fields that reveal a change of the data.
DATA = ("name", "classes", "train_images", "val_images", "sha256")
ACCEPT = "--accept-changed-data"


def _compared(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two runs must share, plus EXIF orientation, which old runs do not record."""
    turned = bool((facts.get("data") or {}).get("exif_orientation", False))
    more = {"data.exif_orientation": turned, "processes": facts.get("processes", 1)}
    return compared(facts) | more


def open_run(
    path: Path,
    record: RunRecord,
    data: Data,
    world: World,
    *,
    accept: bool,
    say: Callable[[str], None],
) -> tuple[RunRecord, Checkpoint | None]:
    """Claim a run's folder; return its record and the checkpoint to resume from.

    Every process calls it and gets the same; the main process writes run.json. If the folder's run
    is finished, its record is returned and nothing changes. Otherwise ``data``'s classes are then
    in the order of the resumed run. With ``accept``, the data may have changed.

    Raises ``RefusedError`` for another run, for changed data that is not accepted, and if the
    folder cannot be written; ``TrainingError`` if all checkpoints are damaged.
    """
    folder = _Folder(path, record, data, accept, say)
    opened, state = world.share(folder.open)
    if opened.status == "finished":
        return opened, None
    if opened.class_names is not None:
        _order_classes(data, list(opened.class_names), path)  # as on the main process
    if state is None:
        return opened, None
    tensors = world.share_tensors(folder.checkpoint and folder.checkpoint.tensors)
    return opened, Checkpoint(tensors, state)


@contextmanager
def locked(path: Path, world: World, say: Callable[[str], None]) -> Iterator[None]:
    """While entered, no other process trains in the folder.

    Raises ``FolderInUseError``, and ``RefusedError`` if the folder cannot be written.
    """
    with ExitStack() as stack:
        works = world.share(lambda: _enter(stack, path))
        if not works:
            say(
                f"{path} is on a file system without locks: make sure that no other process "
                "trains in it"
            )
        yield


def _enter(stack: ExitStack, path: Path) -> bool:
    """Take the folder's lock; return whether locks work there."""
    try:
        return stack.enter_context(FolderLock(path)).exists
    except OSError as error:
        raise RefusedError(f"cannot write to {path}: {error.strerror}") from None


def turns_images(path: Path) -> bool:
    """Whether the run in the folder rotates images by their EXIF orientation tag.

    A new run does; a run that does not record it was trained on images as stored.
    """
    checkpoints: list[Path] = []
    with suppress(OSError):  # an unreadable folder is reported when it is opened
        checkpoints = sorted((path / "checkpoints").glob("step-*.json"), reverse=True)
    with suppress(OSError, RecordError):  # a damaged record is reported when it is opened
        if (record := read_record(path)) is not None:
            return record.exif_orientation
    for checkpoint in checkpoints:
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            data = read_json(checkpoint)["state"]["identity"]["data"]
            return bool(data.get("exif_orientation", False))
    return True


class _Folder:
    """Opens a folder for the run of ``record`` with ``data``, whose changes may be accepted.

    ``checkpoint`` is the newest complete one, once ``open`` has returned.
    """

    def __init__(
        self,
        path: Path,
        record: RunRecord,
        data: Data,
        accept: bool,
        say: Callable[[str], None],
    ):
        self._path, self._own, self._data = path, record, data
        self._accept, self._say = accept, say
        #: Every accepted change of the data: the step, and the data before and after.
        self._changes: list[dict[str, Any]] = []
        #: Class names in the order of the network's outputs; None if unknown.
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
            **self._data.info.record_fields(self._class_names),
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
        found = differences(_compared(before), _compared(self._own.to_json()))
        if found:
            other = free_folder(self._path.parent) / self._path.name
            given = options(found, before)
            same = f", add {given} to resume that run" if given else ""
            raise RefusedError(
                f"{self._path} holds another run: {listed(found)}. Use another --output, such as "
                f"{other}{same}, or delete the folder"
            )

    def _follow(self, before: Mapping[str, Any], step: int | None) -> None:
        """Adopt the order of the classes; refuse changed data, or accept and record the change.

        ``step`` is None for a finished run, which changed data can no longer affect.
        """
        self._changes = self._changes or list(before.get("data_changes") or ())
        there = before["data"]
        names = self._class_names = self._class_names or there.get("class_names")
        if names is not None and _order_classes(self._data, names, self._path):
            name = self._data.info.name
            self._say(f"{name} has the classes in a different order; they are matched by name")
        here = self._data_here()
        if there.get("sha256") == here["sha256"]:
            if there.get("name") != here["name"]:
                self._say(f"the data was named {there.get('name')} before; its content is the same")
            return
        if there.get("sha256") in [change["before"].get("sha256") for change in self._changes]:
            return  # accepted earlier, but not yet in a checkpoint
        self._accept_change({name: there.get(name) for name in DATA}, here, step)
        if names is None or not self._data.info.named:
            self._say("the class names cannot be compared: one of the two data sets has none")

    def _data_here(self) -> dict[str, Any]:
        data = dataclasses.replace(self._own, **self._data.info.record_fields()).data_json()
        return {name: data[name] for name in DATA}

    def _accept_change(self, there: dict[str, Any], here: dict[str, Any], step: int | None) -> None:
        found = flat_differences(there, here)
        changed = listed({f"data.{name}": pair for name, pair in found.items()})
        if not self._accept:
            raise RefusedError(
                f"{self._path} contains a run on other data: {changed}. If the data was changed on "
                f"purpose, for example to remove a damaged image, add {ACCEPT}: the run then "
                "resumes and run.json records the change. Otherwise use another --output"
            )
        if step is None:
            self._say(f"the data has changed since the run finished: {changed}")
            return
        self._say(f"the data has changed; recorded in run.json: {changed}")
        date = datetime.now(timezone.utc).date().isoformat()
        self._changes.append({"step": step, "date": date, "before": there, "after": here})


def _order_classes(data: Data, names: list[str], path: Path) -> bool:
    """Order ``data``'s classes as ``names``, if it names its own; return whether they moved."""
    info = data.info
    if not info.named or list(info.class_names) == names:
        return False
    try:
        data.reorder(names, str(path))
    except ClassNamesError as error:
        raise RefusedError(
            f"{path} contains a run with other classes: {ended(error)} Use another --output"
        ) from None
    return True


def _earlier(record: RunRecord) -> dict[str, Any]:
    """Return what a record and a checkpoint both contain about a resumed run."""
    changes = list(record.data_changes)
    return record.identity() | {"steps_per_epoch": record.steps_per_epoch, "data_changes": changes}
