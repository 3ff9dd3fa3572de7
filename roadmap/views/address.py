"""The page's URL: what it may say, and what is shown when it says something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from roadmap.steps import ROADMAPS, unknown_name

LONGEST = 40  # of a name from the URL that is repeated in a message


@dataclass(frozen=True)
class Selection:
    """What the URL selects, and a sentence for each name in it that does not exist."""

    roadmap: str
    step: str
    problems: tuple[str, ...] = ()


def selection(parameters: Mapping[str, str]) -> Selection:
    """The roadmap and step of URL ``parameters``; the first of each where one is unknown."""
    problems = []
    roadmap = parameters.get("roadmap") or next(iter(ROADMAPS))
    if roadmap not in ROADMAPS:
        problems.append(unknown_name("roadmap", _shortened(roadmap), tuple(ROADMAPS)))
        roadmap = next(iter(ROADMAPS))
    keys = ROADMAPS[roadmap].keys
    step = parameters.get("step") or keys[0]
    if step not in keys:
        problems.append(unknown_name("step", _shortened(step), keys))
        step = keys[0]
    return Selection(roadmap, step, tuple(problems))


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
