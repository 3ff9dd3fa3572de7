"""Number fields that say which numbers are possible.

The fields of Streamlit have no limits here: with limits, a field outside them would turn red, say
why only in a tooltip, and keep its last good number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from roadmap.views.common.bounds import Number, within


def number_field(
    label: str, low: Number, high: Number, key: str, *, name: str = "", unit: str = "", **more: Any
) -> tuple[Number, str]:
    """Show a number field; return its number, held to the limits, and a sentence if it was outside.

    The sentence begins with ``name`` [default: the label] and has ``unit``; ``more`` is for
    ``st.number_input``.
    """
    more = {"help": f"From {_limits(low, high)}."} | more
    if isinstance(low, int):
        more.setdefault("step", 1)  # else it is a field of fractions
    typed = st.number_input(label, key=key, **more)
    return within(typed, low, high), _wrong(name or label, typed, low, high, unit)


def kept_number_field(
    label: str,
    low: Number,
    high: Number,
    key: str,
    *,
    kept: Number,
    keep: Callable[[Number], object],
    name: str = "",
    unit: str = "",
    **more: Any,
) -> str:
    """Show a number field for a number that is ``kept`` elsewhere, such as in the URL.

    ``keep`` is called with a new number. One outside the limits stays in the field with ``kept`` in
    use, until either changes; the returned sentence says so.
    """
    refused = f"{key}-refused"
    typed, over = st.session_state.get(refused, (kept, kept))
    st.session_state[key] = typed if over == kept else kept

    def changed() -> None:
        number = st.session_state[key]
        if within(number, low, high) == number:
            st.session_state.pop(refused, None)
            keep(number)
        else:
            st.session_state[refused] = (number, kept)

    _, wrong = number_field(label, low, high, key, name=name, unit=unit, on_change=changed, **more)
    return f"{wrong} Using {_said(kept)}{unit}." if wrong else ""


def _wrong(name: str, typed: Number | None, low: Number, high: Number, unit: str) -> str:
    if typed is not None and within(typed, low, high) == typed:
        return ""
    given = "empty" if typed is None else f"{_said(typed)}{unit}"
    return f"{name} is {given}; use {_limits(low, high)}."


def _limits(low: Number, high: Number) -> str:
    return f"{_said(low)} to {_said(high)}"


def _said(number: Number) -> str:
    text = f"{number:,}" if isinstance(number, int) else f"{number:,.10g}"
    return text.replace("-", "−")
