"""The small trained networks in ``results/pocket``, of which the page Picture runs two."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from roadmap.steps import ROADMAPS
from roadmap.tables.results import RESULTS

#: The roadmap whose steps are shipped.
ROADMAP = ROADMAPS["resnet50"]


def file(key: str) -> Path:
    """Return the path of the shipped network of step ``key``."""
    return RESULTS / "pocket" / f"{ROADMAP.name}-{key}.safetensors"


@cache
def shipped() -> dict[str, str]:
    """Return the titles of the steps with a shipped network, in order."""
    return {step.key: step.title for step in ROADMAP.steps if file(step.key).is_file()}
