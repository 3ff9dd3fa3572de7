"""The builder's state in the URL: reading, remembering and changing it."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from roadmap.views.builder import places
from roadmap.views.builder.fields import Refused
from roadmap.views.builder.places import PARAMETER, Place
from roadmap.views.common import address, builder_address
from roadmap.views.common.builder_address import Builder, StartingPoint

REFUSED = "refused"


def current() -> Builder:
    """Return the state in the URL, or if it has none, the network built last, or else the
    selected step."""
    said = st.query_params.to_dict()
    if not {"a", "b"} & set(said):
        said = {**st.session_state.get("builder", {}), **said}
    selected = address.current()
    builder = builder_address.parse(said, StartingPoint(selected.roadmap, selected.step))
    if "a" not in said:
        builder = replace(builder, problems=selected.problems + builder.problems)
    if not builder.problems:
        _remember(builder)
        _complete_url(builder)
    return builder


def _remember(builder: Builder) -> None:
    """Remember the state for a return from another page, unless it is an unchanged starting
    point: the step selected there then becomes the start."""
    changed = builder.a.changes or builder.b
    st.session_state["builder"] = builder_address.parameters(builder) if changed else {}


def _complete_url(builder: Builder) -> None:
    """Add the state to a URL without one, without the entry in the browser's history that setting
    ``st.query_params`` would create."""
    if "a" not in st.query_params:
        query = urlencode(builder_address.parameters(builder) | _place())
        # Safe in a script: URL-encoded text has no quotes and no angle brackets.
        st.html(
            f"<script>history.replaceState(history.state, '', '?{query}')</script>",
            unsafe_allow_javascript=True,
        )


def go(builder: Builder) -> None:
    """Show ``builder``, at the place that is open."""
    go_to(builder_address.parameters(builder))


def go_to(parameters: dict[str, str]) -> None:
    """Show the state with these URL ``parameters``, at the place that is open."""
    st.session_state.pop(REFUSED, None)
    st.query_params.from_dict(parameters | _place())


def go_to_place(builder: Builder, place: Place) -> None:
    """Open ``place`` of ``builder``; refused values stay."""
    st.query_params.from_dict(builder_address.parameters(builder) | {PARAMETER: str(place)})


def _place() -> dict[str, str]:
    """Return the place in the URL, as a parameter, if it is one."""
    text = st.query_params.get(PARAMETER)
    return {PARAMETER: text} if text and not places.problem(text) else {}


def refused(builder: Builder) -> Refused | None:
    """Return the values refused last, while the config they would have replaced is shown."""
    found: Refused | None = st.session_state.get(REFUSED)
    return found if found and found.over == builder.current.config else None
