"""Undo and redo in the builder: the states of a session, in the order in which they were reached.

The browser's Back and Forward lead to the same states.
"""

from __future__ import annotations

import streamlit as st

KEY = "builder-history"
MOST_STATES = 200

State = dict[str, str]


def neighbors(state: State) -> dict[str, State | None]:
    """Record that ``state``, as URL parameters, is shown; return where Undo and Redo lead."""
    states, place = st.session_state.get(KEY, ([state], 0))
    states, place = _moved(states, place, state)
    st.session_state[KEY] = states, place
    return {
        "Undo": states[place - 1] if place else None,
        "Redo": states[place + 1] if place + 1 < len(states) else None,
    }


def _moved(states: list[State], place: int, state: State) -> tuple[list[State], int]:
    """Return the history with ``state`` at its place: beside the one before, or new after it."""
    for near in (place, place - 1, place + 1):
        if 0 <= near < len(states) and states[near] == state:
            return states, near
    kept = [*states[: place + 1], state][-MOST_STATES:]
    return kept, len(kept) - 1
