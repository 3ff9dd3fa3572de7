"""The figures of a run in progress, which its process writes about once per second.

``.live.json`` is for whoever watches; nothing else reads it. metrics.csv has the results.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from roadmap.files import read_json

LIVE = ".live.json"
#: Most points of the loss curve; beyond, every second one is dropped.
MOST_POINTS = 240


@dataclass(frozen=True, kw_only=True)
class Live:
    """Figures after optimizer step ``step`` of ``steps``.

    ``loss`` is the mean over the augmented training images of this epoch so far; ``images_per_s``
    excludes validation, ``seconds_left`` includes it and is None until the pace is known.
    ``points`` are (step, mean training loss since the previous point).
    """

    step: int
    steps: int
    steps_per_epoch: int
    loss: float
    images_per_s: float
    seconds_left: float | None
    points: Sequence[tuple[int, float]]


def write_live(folder: Path, live: Live) -> None:
    """Replace the figures in ``folder`` atomically, without waiting for the disk; nothing depends
    on them, so a folder that cannot be written is ignored."""
    partial = folder / f"{LIVE}.partial"
    with suppress(OSError):
        partial.write_text(json.dumps(asdict(live)), encoding="utf-8")
        partial.replace(folder / LIVE)


def read_live(folder: Path) -> Live | None:
    """Return the figures in ``folder``, None if there are none that can be read."""
    try:
        found = read_json(folder / LIVE)
        points = tuple((_whole(step), _finite(loss)) for step, loss in found["points"])
        whole = {name: _whole(found[name]) for name in ("step", "steps", "steps_per_epoch")}
        left = found["seconds_left"]
        return Live(
            **whole,
            loss=_finite(found["loss"]),
            images_per_s=_finite(found["images_per_s"]),
            seconds_left=None if left is None else _finite(left),
            points=points[-MOST_POINTS:],
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def remove_live(folder: Path) -> None:
    """Remove the figures of a run that has finished."""
    with suppress(OSError):
        (folder / LIVE).unlink()


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**63:
        raise ValueError(f"{value!r} is not a number of steps")
    return value
