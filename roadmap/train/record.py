"""run.json: what a folder says about the run in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadmap.files import read_json, write_bytes, write_json
from roadmap.train.class_names import as_names

RECORD, CLASS_NAMES = "run.json", "class_names.json"
#: Class names that stand in run.json itself; more stand in a file beside it.
INLINE = 100


def write_record(folder: Path, content: Mapping[str, Any]) -> None:
    """Write run.json, and a long list of class names beside it. Raises ``OSError``."""
    data = content["data"]
    if len(data["class_names"] or ()) > INLINE:
        text = json.dumps(data["class_names"], indent=0)
        write_bytes(folder / CLASS_NAMES, text.encode() + b"\n")
        content = {**content, "data": {**data, "class_names": CLASS_NAMES}}
    write_json(folder / RECORD, content)


def read_record(folder: Path) -> dict[str, Any] | None:
    """run.json's content, or None where there is none.

    ``data.class_names`` is the list, or None where it is not known. Raises ``OSError``, and
    ``ValueError`` for a file that is no record of a run.
    """
    try:
        content = read_json(folder / RECORD)
    except FileNotFoundError:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("recipe"), dict):
        raise ValueError("it is not the record of a run")
    data = content.get("data")
    content["data"] = dict(data) if isinstance(data, dict) else {}
    content["data"]["class_names"] = recorded_names(folder, content["data"])
    return content


def recorded_names(folder: Path, data: Mapping[str, Any]) -> list[str] | None:
    """The class names of ``data`` in run.json of ``folder``, or None where it has none."""
    names = data.get("class_names")
    if names == CLASS_NAMES:
        try:
            names = read_json(folder / CLASS_NAMES)
        except (OSError, ValueError):
            return None
    return as_names(names)
