"""A design: the planned runs of an experiment over a space.

A design is a JSON file that includes its space, so that it keeps its meaning if roadmaps change.
Imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from models.text import said
from roadmap.errors import RefusedError
from roadmap.files import write_bytes
from roadmap.study.space import Levels, Space, StudyError
from roadmap.study.space_reading import space_from_dict
from roadmap.tables.results import RESULTS, find_committed
from roadmap.train.settings import check_seed

SCHEMA = 1
#: Folder of the committed designs.
DESIGNS = RESULTS / "designs"
#: The model is fitted to ``fit`` and ``replicate`` runs; replicates also measure the variation
#: between seeds. ``held_out`` runs test it. ``confirmation`` runs, trained later, do neither.
Role = Literal["fit", "replicate", "held_out", "confirmation"]
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
NAME_RULE = "start with a lower-case letter or digit, then use these, '.', '_' or '-' (60 at most)"
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
    """The planned runs of an experiment: ``points`` of ``space``, in training order.

    ``interactions`` are the pairs of factors whose products the choice of the points was optimized
    for, besides every single factor. The fitted model has every pair (``model.all_terms``).
    """

    name: str
    space: Space
    points: tuple[Point, ...]
    interactions: tuple[tuple[str, str], ...] = ()

    def save(self, path: Path) -> None:
        """Write the design to a JSON file. Raises ``OSError``."""
        head = {
            "schema": SCHEMA,
            "name": self.name,
            "space": self.space.to_dict(),
            "interactions": [list(pair) for pair in self.interactions],
        }
        # One line per point, for readable diffs.
        lines = [json.dumps(_point(point)) for point in self.points]
        text = json.dumps(head, indent=1)[:-2] + ',\n "points": [\n  ' + ",\n  ".join(lines)
        write_bytes(path, f"{text}\n ]\n}}\n".encode())


def read_design(path: Path) -> Design:
    """Read the design in a JSON file. Raises ``StudyError`` if it is invalid."""
    found = _json(find_committed(path))
    try:
        return _design(found)
    except StudyError as error:
        raise StudyError(f"{path} is not a usable design: {error}") from None
    except KeyError as error:
        raise StudyError(f"{path} is not a usable design: it has no {str(error)[:60]}") from None
    except (TypeError, AttributeError, RecursionError) as error:
        raise StudyError(f"{path} is not a usable design: {str(error)[:60]}") from None


def _json(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        raise StudyError(f"{path} is larger than {MAX_BYTES >> 20} MB, the limit for designs")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise StudyError(f"{path} is not valid JSON; it may be truncated") from None


def _design(found: Mapping[str, Any]) -> Design:
    if found["schema"] != SCHEMA:
        raise StudyError(f"its schema is {str(found['schema'])[:60]}; this version reads {SCHEMA}")
    if not isinstance(found["name"], str) or not NAME.fullmatch(found["name"]):
        raise StudyError(f"its name is {said(found['name'], 60)}; {NAME_RULE}")
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
        raise StudyError(f"two points have the key {repeated}; use different keys")
    return Design(name=found["name"], space=space, points=points, interactions=pairs)


def _checked(point: Point, space: Space) -> Point:
    if not isinstance(point.key, str) or not NAME.fullmatch(point.key):
        raise StudyError(f"the key of a point is {said(point.key, 60)}; {NAME_RULE}")
    if point.role not in get_args(Role):
        known = ", ".join(get_args(Role))
        raise StudyError(f"the role of point {point.key} is {said(point.role, 60)}; use {known}")
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
