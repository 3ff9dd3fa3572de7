"""Opening a run's folder: it is new, finished, to be resumed, or another run's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from roadmap.files import remove_partial
from roadmap.runs.record import (
    IDENTITY,
    RECORD,
    NewerSchemaError,
    RecordError,
    RunRecord,
    read_record,
)
from roadmap.train.checkpoint import Checkpoint, load_checkpoint
from roadmap.train.data.batches import Data
from roadmap.train.data.class_names import ClassNamesError
from roadmap.train.errors import RefusedError
from roadmap.train.same_run import differences, free_folder, listed, options
from roadmap.train.settings import flat_differences

#: Required entries of a checkpoint's state.
STATE = ("identity", "step", "history", "epoch_seconds", "wall_seconds", "energy_joules")
#: Fields that reveal a change of the data.
DATA = ("name", "classes", "train_images", "val_images", "sha256")
ACCEPT = "--accept-changed-data"


class Opening(NamedTuple):
    """What a run starts with: nothing, or the state of the run that it resumes."""

    finished: RunRecord | None
    #: State of the newest complete checkpoint.
    state: dict[str, Any] | None
    #: Batches per epoch, even if the number of images has changed.
    steps_per_epoch: int | None
    #: Class names in the order of the network's outputs; None if unknown.
    class_names: list[str] | None
    #: Every accepted change of the data: the step, and the data before and after.
    data_changes: list[dict[str, Any]]


def _compared(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two runs must share, plus EXIF orientation, which old runs do not record."""
    turned = bool((facts.get("data") or {}).get("exif_orientation", False))
    compared = {name: facts.get(name) for name in IDENTITY} | {"data.exif_orientation": turned}
    return compared | {"processes": facts.get("processes", 1)}


class Folder:
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
        self._changes: list[dict[str, Any]] = []
        self._class_names: list[str] | None = None
        self.checkpoint: Checkpoint | None = None

    def open(self) -> Opening:
        """Return the folder's state, and reorder ``data``'s classes as in its run.

        Raises ``RefusedError`` for another run or for changed data that is not accepted,
        ``TrainingError`` if all checkpoints are damaged, and ``OSError`` if the folder cannot be
        written. Only renames a damaged run.json; changes nothing else.
        """
        remove_partial(self._path)
        record, fault = self._record()
        if record is not None:
            self._refuse_other_run(record.to_json())
            if record.status == "finished":
                self._follow(_earlier(record), step=None)
                return Opening(record, None, None, None, [])
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
        steps = next(
            (one["steps_per_epoch"] for one in earlier if one.get("steps_per_epoch")), None
        )
        return Opening(None, state, steps, self._class_names, self._changes)

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
                "resume "
                "from: restore run.json, or use another --output"
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
        self._order_classes(names)
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

    def _order_classes(self, names: list[str] | None) -> None:
        info = self._data.info
        if names is None or not info.named or list(info.class_names) == names:
            return
        try:
            self._data.reorder(names, str(self._path))
        except ClassNamesError as error:
            raise RefusedError(
                f"{self._path} holds a run with other classes: {error}. Use another --output"
            ) from None
        self._say(f"{info.name} has the classes in a different order; they are matched by name")

    def _data_here(self) -> dict[str, Any]:
        data = dataclasses.replace(self._own, **data_fields(self._data)).data_json()
        return {name: data[name] for name in DATA}

    def _accept_change(self, there: dict[str, Any], here: dict[str, Any], step: int | None) -> None:
        found = flat_differences(there, here)
        changed = listed({f"data.{name}": pair for name, pair in found.items()})
        if not self._accept:
            raise RefusedError(
                f"{self._path} holds a run on other data: {changed}. If the data was changed on "
                f"purpose, for example to remove a damaged image, add {ACCEPT}: the run then "
                "resumes "
                "and run.json records the change. Otherwise use another --output"
            )
        if step is None:
            self._say(f"the data has changed since the run finished: {changed}")
            return
        self._say(f"the data has changed; recorded in run.json: {changed}")
        date = datetime.now(timezone.utc).date().isoformat()
        self._changes.append({"step": step, "date": date, "before": there, "after": here})


def _earlier(record: RunRecord) -> dict[str, Any]:
    """Return what a record and a checkpoint both contain about a resumed run."""
    changes = list(record.data_changes)
    return record.identity() | {"steps_per_epoch": record.steps_per_epoch, "data_changes": changes}


def data_fields(data: Data, class_names: list[str] | None = None) -> dict[str, Any]:
    """Return the fields of a ``RunRecord`` that depend on ``data``; ``class_names`` is used if the
    data set has none."""
    info = data.info
    return {
        "data": info.name,
        "data_sha256": info.sha256,
        "classes": info.num_classes,
        "class_names": list(info.classes or class_names or ()) or None,
        "train_images": info.num_train,
        "val_images": info.num_val,
        "train_split": info.splits[0],
        "val_split": info.splits[1],
        "exif_orientation": info.exif_orientation,
    }
