"""The state in a page's URL, and what is shown instead of an invalid value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import streamlit as st

from models.text import existing, said, unknown_name
from roadmap.steps import ROADMAPS


@dataclass(frozen=True)
class Selection:
    """The selection in the URL, and one sentence per unknown name in it."""

    roadmap: str
    step: str
    problems: tuple[str, ...] = ()


def current() -> Selection:
    """Return the selection in the URL, or the last selection if the URL has none."""
    parameters: dict[str, str] = dict(st.query_params)
    if "roadmap" not in parameters and "step" not in parameters:
        parameters |= st.session_state.get("selection", {})
    chosen = selection(parameters)
    st.session_state["selection"] = {"roadmap": chosen.roadmap, "step": chosen.step}
    return chosen


def complete(chosen: Selection) -> None:
    """Add ``chosen`` to a URL without a selection, without the new entry in the browser's history
    that setting ``st.query_params`` would create."""
    if "roadmap" in st.query_params and "step" in st.query_params:
        return
    query = urlencode({**st.query_params.to_dict(), "roadmap": chosen.roadmap, "step": chosen.step})
    # Safe in a script: URL-encoded text has no quotes and no angle brackets.
    st.html(
        f"<script>history.replaceState(history.state, '', '?{query}')</script>",
        unsafe_allow_javascript=True,
    )


def store(roadmap: str, step: str) -> None:
    """Store a roadmap and a step in the URL, for this page and the next."""
    st.query_params.update({"roadmap": roadmap, "step": step})


def selection(parameters: Mapping[str, str]) -> Selection:
    """Return the roadmap and step of URL ``parameters``; the first one replaces an unknown name."""
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
    """Return parameter ``name`` and ''; if its value is not in ``options``, the first option and
    a sentence about it."""
    value = parameters.get(name) or options[0]
    if value in options:
        return value, ""
    return options[
        0
    ], f"The URL parameter {name} is {said(value)}.{existing(value, tuple(options))}"
