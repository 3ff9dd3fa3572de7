"""A design: the runs of an experiment over a space, named before anything is trained.

A design is a JSON file with its space, so that it means the same when the roadmaps change.
Imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from roadmap.files import write_bytes
from roadmap.study.space import Levels, Space, StudyError, space_from_dict
from roadmap.tables.results import RESULTS, find_committed
from roadmap.train.errors import RefusedError
from roadmap.train.settings import check_seed

SCHEMA = 1
#: The designs that are committed.
DESIGNS = RESULTS / "designs"
#: ``fit``: the model is fitted to it. ``replicate``: fitted too, and tells chance from lack of
#: fit. ``held_out``: the model is judged by it. ``confirmation``: neither, trained afterwards.
Role = Literal["fit", "replicate", "held_out", "confirmation"]
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
MAX_BYTES = 16 << 20
MAX_POINTS = 10_000


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run: a combination of ``levels`` and a seed."""

    key: str
    role: Role
    levels: Levels = field(hash=False)
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Design:
    """``points`` in the order in which they are trained; ``interactions``: pairs of factors whose
    product the model has, beside every factor by itself."""

    name: str
    space: Space
    points: tuple[Point, ...]
    interactions: tuple[tuple[str, str], ...] = ()

    def save(self, path: Path) -> None:
        """Write the file. Raises ``OSError``."""
        head = {
            "schema": SCHEMA,
            "name": self.name,
            "space": self.space.to_dict(),
            "interactions": [list(pair) for pair in self.interactions],
        }
        lines = [json.dumps(_point(point)) for point in self.points]  # a line each: diffs are read
        text = json.dumps(head, indent=1)[:-2] + ',\n "points": [\n  ' + ",\n  ".join(lines)
        write_bytes(path, f"{text}\n ]\n}}\n".encode())


def read_design(path: Path) -> Design:
    """The design in a file. Raises ``StudyError`` with one sentence where it holds none."""
    found = _json(find_committed(path))
    try:
        return _design(found)
    except StudyError as error:
        raise StudyError(f"{path} is not a usable design: {error}") from None
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudyError(f"{path} is not a usable design: it lacks {str(error)[:60]}") from None


def _json(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        raise StudyError(f"{path} is larger than {MAX_BYTES >> 20} MB, which no design is")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise StudyError(f"{path} is not JSON; it may be cut off") from None


def _design(found: Mapping[str, Any]) -> Design:
    if found["schema"] != SCHEMA:
        raise StudyError(f"its schema is {str(found['schema'])[:60]}; this version reads {SCHEMA}")
    if not isinstance(found["name"], str) or not NAME.fullmatch(found["name"]):
        raise StudyError("its name must be of lower-case letters, digits, ., _ and -")
    space = space_from_dict(found["space"])
    pairs = tuple((first, second) for first, second in found["interactions"])
    for name in (name for pair in pairs for name in pair):
        space.factor(name)
    if not 1 <= len(found["points"]) <= MAX_POINTS:
        raise StudyError(f"it has {len(found['points'])} points; use 1 to {MAX_POINTS}")
    points = tuple(_checked(Point(**point), space) for point in found["points"])
    keys = [point.key for point in points]
    repeated = next((key for key in keys if keys.count(key) > 1), None)
    if repeated:
        raise StudyError(f"two points have the key {repeated}")
    return Design(name=found["name"], space=space, points=points, interactions=pairs)


def _checked(point: Point, space: Space) -> Point:
    if not isinstance(point.key, str) or not NAME.fullmatch(point.key):
        raise StudyError("the key of a point must be of lower-case letters, digits, ., _ and -")
    if point.role not in get_args(Role):
        raise StudyError(f"point {point.key} has the unknown role {str(point.role)[:60]!r}")
    try:
        check_seed(point.seed)
    except RefusedError as error:
        raise StudyError(f"point {point.key}: {error}") from None
    missing = sorted(set(space.by_name) ^ set(point.levels))
    if missing:
        raise StudyError(f"point {point.key} and the space differ in factor {missing[0][:60]!r}")
    problem = space.problem(point.levels)
    if problem:
        raise StudyError(f"point {point.key} is not in the space: {problem}")
    return point


def _point(point: Point) -> dict[str, Any]:
    return {
        "key": point.key,
        "role": point.role,
        "seed": point.seed,
        "levels": dict(point.levels),
    }
