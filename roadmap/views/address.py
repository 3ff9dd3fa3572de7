"""The page's URL: what it may say, and what is shown when it says something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from roadmap.steps import ROADMAPS, unknown_name

LONGEST = 40  # of a name from the URL that is repeated in a message


@dataclass(frozen=True)
class Selection:
    """What the URL selects, and a sentence for each name in it that does not exist."""

    roadmap: str
    step: str
    problems: tuple[str, ...] = ()


def current() -> Selection:
    """What the URL selects; on a page whose URL says nothing yet, what was selected last."""
    parameters: dict[str, str] = dict(st.query_params)
    if "roadmap" not in parameters and "step" not in parameters:
        parameters |= st.session_state.get("selection", {})
    chosen = selection(parameters)
    st.session_state["selection"] = {"roadmap": chosen.roadmap, "step": chosen.step}
    return chosen


def select(roadmap: str, step: str) -> None:
    """Put a roadmap and a step into the URL, for this page and the next."""
    st.query_params.update({"roadmap": roadmap, "step": step})


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
