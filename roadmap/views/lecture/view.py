"""Lecture mode of the Roadmap page: the whole window, stepped in the browser without the server."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from roadmap.palette import BLUE
from roadmap.steps import ROADMAPS
from roadmap.views.common import address, assets
from roadmap.views.common.address import Selection
from roadmap.views.lecture.slides import slides

PARAMETER, KEY, NAME = "present", "P", "lecture"
_FILES = Path(__file__).parent


def opened() -> tuple[bool, str]:
    """Return whether the URL opens lecture mode, and a sentence if its value is invalid."""
    value, problem = address.option(st.query_params, PARAMETER, ("0", "1"))
    return value == "1", problem


def button() -> None:
    """Show the button that starts lecture mode, as the key does."""
    st.button("Present", shortcut=KEY, key="present", on_click=_open)


def _open() -> None:
    st.query_params[PARAMETER] = "1"


def show(chosen: Selection) -> None:
    """Show the slides of the roadmap in the URL, from its step on."""
    # Its print rules concern the whole page, so its styles are not isolated.
    mount = st.components.v2.component(
        NAME,
        css=assets.text(_FILES / "lecture.css"),
        js=assets.text(_FILES / "lecture.js"),
        isolate_styles=False,
    )
    mount(
        key=NAME,
        data={
            "roadmap": chosen.roadmap,
            "title": ROADMAPS[chosen.roadmap].title,
            "step": chosen.step,
            "parameter": PARAMETER,
            "ink": BLUE,
            "notice": " ".join(chosen.problems),
            "slides": slides(chosen.roadmap),
        },
        on_leave_change=lambda: _leave(chosen.roadmap),
    )


def _leave(roadmap: str) -> None:
    """Return to the page at the step that the lecture had reached; a browser may send anything."""
    reached = st.session_state[NAME].get("leave")
    found = address.selection({"roadmap": roadmap, "step": str(reached)})
    st.query_params.pop(PARAMETER, None)
    address.store(roadmap, found.step)
