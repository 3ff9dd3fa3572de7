"""The folders of runs as the reader lists them, and changes of their run.json."""

from __future__ import annotations

import json
from pathlib import Path

from roadmap.runs import read_runs


def only(root: Path):
    """The one run in ``root``, which has nothing unreadable."""
    found = read_runs(root)
    assert found.unreadable == ()
    (run,) = found.runs
    return run


def why(root: Path) -> str:
    """What is wrong with the one folder in ``root``."""
    found = read_runs(root)
    assert found.runs == ()
    (folder,) = found.unreadable
    assert folder.why.endswith(".")
    return folder.why


def change(folder: Path, **facts) -> None:
    path = folder / "run.json"
    content = json.loads(path.read_text()) | facts
    path.write_text(json.dumps(content))


def without(folder: Path, *places: str) -> None:
    """Take a field out of run.json."""
    content = json.loads((folder / "run.json").read_text())
    *outer, last = places
    inner = content
    for name in outer:
        inner = inner[name]
    del inner[last]
    (folder / "run.json").write_text(json.dumps(content))
