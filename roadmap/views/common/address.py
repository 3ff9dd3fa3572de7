"""The page's URL: what it may say, and what is shown when it says something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import streamlit as st

from models.text import said
from roadmap.steps import ROADMAPS, existing, unknown_name


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


def complete(chosen: Selection) -> None:
    """Put ``chosen`` into a URL that says nothing yet, without a new entry in the browser's
    history, which setting ``st.query_params`` would make."""
    if "roadmap" in st.query_params and "step" in st.query_params:
        return
    query = urlencode({**st.query_params.to_dict(), "roadmap": chosen.roadmap, "step": chosen.step})
    # Safe in a script: a URL-encoded text has neither quotes nor angle brackets.
    st.html(
        f"<script>history.replaceState(history.state, '', '?{query}')</script>",
        unsafe_allow_javascript=True,
    )


def select(roadmap: str, step: str) -> None:
    """Put a roadmap and a step into the URL, for this page and the next."""
    st.query_params.update({"roadmap": roadmap, "step": step})


def selection(parameters: Mapping[str, str]) -> Selection:
    """The roadmap and step of URL ``parameters``; the first of each where one is unknown."""
    problems = []
    roadmap = parameters.get("roadmap") or next(iter(ROADMAPS))
    if roadmap not in ROADMAPS:
        problems.append(unknown_name("roadmap", roadmap, tuple(ROADMAPS)))
        roadmap = next(iter(ROADMAPS))
    keys = ROADMAPS[roadmap].keys
    step = parameters.get("step") or keys[0]
    if step not in keys:
        problems.append(unknown_name("step", step, keys))
        step = keys[0]
    return Selection(roadmap, step, tuple(problems))


def option(parameters: Mapping[str, str], name: str, options: Sequence[str]) -> tuple[str, str]:
    """Parameter ``name``, the first of ``options`` where it is none of them, and then a sentence
    that says so (otherwise empty)."""
    value = parameters.get(name) or options[0]
    if value in options:
        return value, ""
    return options[0], f"{name} in the URL is {said(value)}.{existing(value, tuple(options))}"
