"""Checkpoints: a safetensors file and a JSON file with its checksum.

The JSON file is written last and holds the SHA-256 of the tensors and its own, so a checkpoint only
exists once it is complete, and truncated or altered files are detected. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from roadmap.errors import TrainingError
from roadmap.files import read_json, remove_partial, write_bytes

KEEP = 2
_NAME = re.compile(r"step-\d+")


class Checkpoint(NamedTuple):
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Write the checkpoint of ``step`` and delete all but the last ``KEEP``.

    Raises ``OSError`` if it cannot be written; earlier checkpoints are then unchanged.
    """
    content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})
    body = {"step": step, "tensors_sha256": _sha256(content), "state": dict(state)}
    stem = folder / f"step-{step:09d}"
    write_bytes(stem.with_suffix(".safetensors"), content)
    sealed = {"sha256": _sha256(_canonical(body)), **body}
    write_bytes(stem.with_suffix(".json"), json.dumps(sealed).encode())
    _remove_old(folder)


def load_checkpoint(
    folder: Path, warn: Callable[[str], None], needed: Iterable[str] = ()
) -> Checkpoint | None:
    """Return the newest complete checkpoint in ``folder``, or None if there are none.

    ``needed`` are the entries that its state must have. Damaged checkpoints are reported through
    ``warn`` and the previous one is tried. Raises ``TrainingError`` if all of them are damaged.
    """
    remove_partial(folder)
    needed = tuple(needed)
    paths = _sealed(folder)
    for path in paths:
        try:
            return _read(path, needed)
        except (OSError, ValueError, SafetensorError) as error:
            warn(f"checkpoint {path.with_suffix('')} is damaged ({error}); trying the previous one")
    if paths:
        raise TrainingError(
            f"all checkpoints in {folder} are damaged: delete the folder to start again"
        )
    return None


def last_step(folder: Path) -> int | None:
    """Return the step of the newest checkpoint, without reading it, or None."""
    paths = _sealed(folder)
    return _step(paths[0]) if paths else None


def _read(path: Path, needed: tuple[str, ...]) -> Checkpoint:
    state, recorded = _unsealed(path)
    missing = next((name for name in needed if name not in state), None)
    if missing is not None:
        raise ValueError(f"{path.name} has no {missing!r}")
    tensors = path.with_suffix(".safetensors")
    content = tensors.read_bytes()
    if _sha256(content) != recorded:
        raise ValueError(f"{tensors.name} does not match its checksum")
    return Checkpoint(load(content), state)


def _unsealed(path: Path) -> tuple[dict[str, Any], str]:
    """Return the state in a checkpoint's JSON file, and the tensors' checksum."""
    sealed = read_json(path)
    if not isinstance(sealed, dict) or "sha256" not in sealed:
        raise ValueError(f"{path.name} is not a checkpoint")
    recorded = sealed.pop("sha256")
    if _sha256(_canonical(sealed)) != recorded:
        raise ValueError(f"{path.name} does not match its checksum")
    state, tensors = sealed.get("state"), sealed.get("tensors_sha256")
    if not isinstance(state, dict) or not isinstance(tensors, str):
        raise ValueError(f"{path.name} lacks the state or the tensors' checksum")
    return state, tensors


def _sealed(folder: Path) -> list[Path]:
    """Return the checkpoints' JSON files, newest first, ignoring files with other names."""
    found = (path for path in folder.glob("step-*.json") if _NAME.fullmatch(path.stem))
    return sorted(found, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _remove_old(folder: Path) -> None:
    for path in _sealed(folder)[KEEP:]:
        path.unlink(missing_ok=True)  # the JSON first, so that no partial checkpoint looks complete
    kept = {path.stem for path in _sealed(folder)}
    for path in folder.glob("step-*.safetensors"):
        if path.stem not in kept:
            path.unlink(missing_ok=True)


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
