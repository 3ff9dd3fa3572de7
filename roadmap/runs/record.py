"""run.json: the settings, data, machine, progress and scores of a training run.

Only this module reads and writes ``RunRecord``. A run folder may come from anyone, so every value
is checked when it is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from models.text import LONGEST_MESSAGE, LONGEST_PATH, is_unicode, said
from roadmap.files import read_bytes, read_json, write_bytes, write_json

RECORD, CLASS_NAMES = "run.json", "class_names.json"
#: Version of the format. Older files have no version; they can still be read.
SCHEMA = 1
#: Up to this many class names are stored in run.json, more in a file beside it.
INLINE = 100
#: The statuses in run.json, and ``stopped``: it says running, but no process is.
STATUSES = ("running", "finished", "interrupted", "failed", "stopped")
#: The largest allowed number: the largest seed of torch.
LARGEST = 2**64 - 1
#: Fields that must match to resume a run, besides the data. The number of processes, the compiler
#: and the versions may change.
IDENTITY = (
    *("roadmap", "step", "config", "recipe", "seed", "scale", "precision"),
    *("micro_batch", "sync_batch_norm", "device_type", "start"),
)

#: What messages call the types of fields.
_NAMES: dict[Any, str] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    float | int: "a number",
    str | None: "a string or null",
    int | None: "an integer or null",
    float | int | None: "a number or null",
}
_REQUIRED = object()


class RecordError(ValueError):
    """A folder without a readable run; the message is one sentence."""


#: The weights that a finished run leaves, by the score that they have.
WEIGHTS_OF = {"top1": "weights.safetensors", "ema_top1": "weights_ema.safetensors"}


class RunPoint(NamedTuple):
    """The place of a run in a designed experiment (``roadmap.study.design``)."""

    design: str
    key: str
    role: str
    levels: Mapping[str, str]


class RunStart(NamedTuple):
    """Where fine-tuning started: ``weights`` as given, the ``sha256`` of the file (of the tensors
    for a name in timm), and the ``network`` in it. ``head`` is "new", or "kept" for the same
    classes."""

    weights: str
    sha256: str
    network: str
    head: str
    layer_decay: float
    frozen_stages: int


class Conventions(NamedTuple):
    """How a run reads its data: whether it rotates images by their EXIF orientation tag, and the
    order of the classes, None if unknown."""

    exif_orientation: bool
    class_names: list[str] | None


class NewerSchemaError(RecordError):
    """A record written by a later version of this project."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run of a step, finished or not. A run of a ``point`` in a design, and a run that
    fine-tunes from a ``start``, has ``step`` None.

    Settings: ``recipe`` and ``config`` have the fields of ``Recipe`` and ``ModelConfig`` as JSON
    values; ``recipe_name`` is None for the step's own recipe.

    Data: ``class_names`` are in the order of the network's outputs, or None if unknown.
    ``val_split`` is the original name of the validation split (val, valid, test, ...).
    ``exif_orientation`` says whether images are rotated according to their EXIF tag.
    ``data_changes`` lists every accepted change of the data: the optimizer step, and the data
    before and after.

    Results: ``wall_seconds`` and ``energy_joules`` (in J) are totals including resumed parts, None
    while the run is in progress or if unknown. ``scores`` are accuracies (percent) and losses on
    the validation images after the last epoch, such as ``top1`` and ``ema_top1``; empty until
    then. ``reason`` says why a run stopped.
    """

    status: str
    roadmap: str
    step: str | None
    point: RunPoint | None = field(default=None, hash=False)
    start: RunStart | None = None
    recipe_name: str | None
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    recipe: Mapping[str, Any] = field(hash=False)
    data: str
    data_sha256: str | None
    classes: int
    class_names: Sequence[str] | None = field(default=None, hash=False)
    train_images: int
    val_images: int
    train_split: str = "train"
    val_split: str = "val"
    exif_orientation: bool = False
    data_changes: Sequence[Mapping[str, Any]] = field(default=(), hash=False)
    seed: int
    scale: str
    precision: str
    micro_batch: int | None = None
    sync_batch_norm: bool = True
    compiled: bool
    device_type: str | None = None
    device: str
    processes: int
    steps_per_epoch: int | None = None
    versions: Mapping[str, str] = field(hash=False)
    depthwise: str | None = None
    steps: int = 0
    date: str
    wall_seconds: float | None
    energy_joules: float | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict, hash=False)
    reason: str | None = None

    @classmethod
    def from_json(cls, content: Any, class_names: Sequence[str] | None = None) -> RunRecord:
        """Return the record for the parsed content of run.json.

        ``class_names`` are the names in the file beside it, if run.json refers to one. Raises
        ``RecordError`` for a missing or invalid field.
        """
        if not isinstance(content, dict):
            raise RecordError(f"{RECORD} is not a JSON object.")
        _check_values(content)
        _check_schema(content)
        status = _get(content, "status", str)
        if status not in STATUSES:
            raise RecordError(
                f"{RECORD}: status is {said(status)}; expected {', '.join(STATUSES)}."
            )
        point, start = _point(content), _start(content)
        return cls(
            status=status,
            roadmap=_get(content, "roadmap", str),
            step=None if point or start else _get(content, "step", str),
            point=point,
            start=start,
            recipe_name=_get(content, "recipe_name", str | None),
            config=_get(content, "config", dict, default={}),
            recipe=_recipe(content),
            **_data(content, class_names),
            seed=_count(content, "seed", least=0),
            scale=_get(content, "scale", str),
            precision=_get(content, "precision", str),
            micro_batch=_get(content, "micro_batch", int | None, default=None),
            sync_batch_norm=_get(content, "sync_batch_norm", bool, default=True),
            compiled=_get(content, "compiled", bool),
            device_type=_get(content, "device_type", str | None, default=None),
            device=_get(content, "device", str),
            processes=_count(content, "processes"),
            steps_per_epoch=_get(content, "steps_per_epoch", int | None, default=None),
            versions=_texts(content, "versions"),
            depthwise=_get(content, "depthwise", str | None, default=None),
            steps=_count({"steps": 0} | content, "steps", least=0),
            date=_get(content, "date", str),
            wall_seconds=_get(content, "wall_seconds", float | int | None),
            energy_joules=_get(content, "energy_joules", float | int | None, default=None),
            scores=_scores(content) if status == "finished" else {},
            reason=_get(content, "reason", str | None, default=None),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of run.json."""
        changes = {"data_changes": list(self.data_changes)} if self.data_changes else {}
        return {
            "schema": SCHEMA,
            "status": self.status,
            "roadmap": self.roadmap,
            "step": self.step,
            **({"point": self.point._asdict()} if self.point else {}),
            **({"start": self.start._asdict()} if self.start else {}),
            "recipe_name": self.recipe_name,
            "config": dict(self.config),
            "recipe": dict(self.recipe),
            "data": self.data_json(),
            "seed": self.seed,
            "scale": self.scale,
            "precision": self.precision,
            "micro_batch": self.micro_batch,
            "sync_batch_norm": self.sync_batch_norm,
            "compiled": self.compiled,
            "device_type": self.device_type,
            "device": self.device,
            "processes": self.processes,
            "steps_per_epoch": self.steps_per_epoch,
            "versions": dict(self.versions),
            "depthwise": self.depthwise,
            **changes,
            "steps": self.steps,
            "date": self.date,
            "wall_seconds": self.wall_seconds,
            "energy_joules": self.energy_joules,
            "scores": dict(self.scores) or None,
            **({"reason": self.reason} if self.reason is not None else {}),
        }

    def data_json(self) -> dict[str, Any]:
        """Return ``data`` as stored in run.json, weights files and checkpoints."""
        return {
            "name": self.data,
            "sha256": self.data_sha256,
            "classes": self.classes,
            "class_names": None if self.class_names is None else list(self.class_names),
            "train_images": self.train_images,
            "val_images": self.val_images,
            "train_split": self.train_split,
            "val_split": self.val_split,
            "exif_orientation": self.exif_orientation,
        }

    def identity(self) -> dict[str, Any]:
        """Return the fields that a checkpoint stores about its run."""
        content = self.to_json()
        return {name: content[name] for name in (*IDENTITY, "data") if name in content}


def today() -> str:
    """Return the date that a record gets."""
    return datetime.now(timezone.utc).date().isoformat()


def write_record(folder: Path, record: RunRecord) -> None:
    """Write run.json, and a long list of class names to a file beside it. Raises ``OSError``."""
    content = record.to_json()
    names = content["data"]["class_names"]
    if len(names or ()) > INLINE:
        write_bytes(folder / CLASS_NAMES, json.dumps(names, indent=0).encode() + b"\n")
        content["data"]["class_names"] = CLASS_NAMES
    write_json(folder / RECORD, content)


def read_record(folder: Path) -> RunRecord | None:
    """Return the record in ``folder``, or None if it has no run.json.

    Raises ``OSError`` if run.json cannot be read, and ``RecordError`` if it is not a valid record.
    """
    try:
        content = json.loads(read_bytes(folder / RECORD))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        raise RecordError(f"{RECORD} is not valid JSON; it may be truncated.") from None
    return RunRecord.from_json(content, _names_beside(folder, content))


def as_names(value: Any) -> list[str] | None:
    """Return class names from a JSON list, or from an object that maps indices to names.

    Returns None for anything else.
    """
    if isinstance(value, dict):
        value = [value.get(str(index)) for index in range(len(value))]
    good = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    return value if good else None


def data_conventions(data: Any) -> Conventions:
    """Return the conventions in ``data`` as run.json, weights files and checkpoints have it.

    Without a record of it, images were read as stored.
    """
    facts = data if isinstance(data, dict) else {}
    return Conventions(bool(facts.get("exif_orientation")), as_names(facts.get("class_names")))


def _names_beside(folder: Path, content: Any) -> list[str] | None:
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, dict) or data.get("class_names") != CLASS_NAMES:
        return None
    try:
        return as_names(read_json(folder / CLASS_NAMES))
    except (OSError, ValueError):
        return None


def _check_values(content: Mapping[str, Any]) -> None:
    """Raise ``RecordError`` for values that JSON allows but tables, pages or files do not."""
    left: list[tuple[str, Any]] = [("", content)]
    while left:
        place, value = left.pop()
        if isinstance(value, dict):
            left += [("the name of a field", name) for name in value]
            left += [(f"{place}.{name}" if place else name, each) for name, each in value.items()]
        elif isinstance(value, list):
            left += [(place, each) for each in value]
        elif expected := _limit_exceeded(place, value):
            raise _wrong(said(place)[1:-1], value, expected)


def _limit_exceeded(place: str, value: Any) -> str | None:
    if isinstance(value, str):
        longest = {"reason": LONGEST_MESSAGE, "data.class_names": LARGEST}.get(place, LONGEST_PATH)
        if len(value) > longest:
            return f"at most {longest:,} characters"
        return None if is_unicode(value) else "valid Unicode"
    if value is None or -LARGEST <= value <= LARGEST:  # false for NaN
        return None
    return "a number between -2**64 and 2**64"


def _wrong(place: str, value: Any, expected: str) -> RecordError:
    return RecordError(f"{RECORD}: {place} is {said(value, 40)}; expected {expected}.")


def _check_schema(content: Mapping[str, Any]) -> None:
    schema = _get(content, "schema", int, default=0)
    if schema > SCHEMA:
        raise NewerSchemaError(
            f"{RECORD}: schema is {schema}; this version reads up to {SCHEMA}. Update this program."
        )


def _point(content: Mapping[str, Any]) -> RunPoint | None:
    if content.get("point") is None:
        return None
    point = _get(content, "point", dict)
    design, key, role = (_get(point, name, str, "point.") for name in ("design", "key", "role"))
    return RunPoint(design, key, role, _texts(point, "levels", "point."))


def _start(content: Mapping[str, Any]) -> RunStart | None:
    if content.get("start") is None:
        return None
    start = _get(content, "start", dict)
    names = ("weights", "sha256", "network", "head")
    weights, digest, network, head = (_get(start, name, str, "start.") for name in names)
    decay = _get(start, "layer_decay", float | int, "start.")
    frozen = _count(start, "frozen_stages", "start.", least=0)
    return RunStart(weights, digest, network, head, decay, frozen)


def _recipe(content: Mapping[str, Any]) -> Mapping[str, Any]:
    recipe = _get(content, "recipe", dict)
    for name in ("epochs", "train_size", "test_size", "batch_size"):
        _count(recipe, name, "recipe.")
    _get(recipe, "optimizer", str, "recipe.")
    _get(recipe, "lr", float | int, "recipe.")
    for name, value in recipe.items():
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str | int | float | None) for each in several):
            expected = "a string, a number or null, or a list of these"
            raise _wrong(f"recipe.{said(name)[1:-1]}", value, expected)
    return recipe


def _data(content: Mapping[str, Any], beside: Sequence[str] | None) -> dict[str, Any]:
    data = _get(content, "data", dict)
    return {
        "data": _get(data, "name", str, "data."),
        "data_sha256": _get(data, "sha256", str | None, "data."),
        "classes": _count(data, "classes", "data."),
        "class_names": beside or as_names(data.get("class_names")),
        "train_images": _count(data, "train_images", "data."),
        "val_images": _count(data, "val_images", "data."),
        "train_split": _get(data, "train_split", str, "data.", "train"),
        "val_split": _get(data, "val_split", str, "data.", "val"),
        "exif_orientation": _get(data, "exif_orientation", bool, "data.", False),
        "data_changes": _changes(content),
    }


def _changes(content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    changes = _get(content, "data_changes", list, default=())
    for change in changes:
        if not isinstance(change, dict):
            raise RecordError(
                f"{RECORD}: data_changes contains {said(change, 40)}; expected objects."
            )
        for name in ("before", "after"):
            _get(change, name, dict, "data_changes.")
    return changes


def _scores(content: Mapping[str, Any]) -> Mapping[str, float | None]:
    """Return the scores of a finished run, which always include ``top1``."""
    scores = _get(content, "scores", dict)
    _get(scores, "top1", float | int, "scores.")
    for name in scores:
        score = _get(scores, name, float | int | None, "scores.")
        if score is not None and name.endswith(("top1", "top5")) and not 0 <= score <= 100:
            raise _wrong(f"scores.{name}", score, "a percentage from 0 to 100")
    return scores


def _texts(content: Mapping[str, Any], name: str, place: str = "") -> Mapping[str, str]:
    """Return an object whose values are all strings."""
    texts = _get(content, name, dict, place)
    for key in texts:
        _get(texts, key, str, f"{place}{name}.")
    return texts


def _count(content: Mapping[str, Any], name: str, place: str = "", least: int = 1) -> int:
    value = _get(content, name, int, place)
    if value < least:
        raise _wrong(f"{place}{name}", value, f"an integer of at least {least}")
    return value


def _get(
    content: Mapping[str, Any], name: str, kind: Any, place: str = "", default: Any = _REQUIRED
) -> Any:
    """Return the value of a field, which must be of type ``kind``.

    A field without ``default`` is required. Raises ``RecordError``.
    """
    if name not in content:
        if default is not _REQUIRED:
            return default
        raise RecordError(f"{RECORD}: {place}{name} is missing; expected {_NAMES[kind]}.")
    value = content[name]
    # In Python, True is an integer; in JSON, true is not a number.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(f"{place}{name}", value, _NAMES[kind])
    return value
