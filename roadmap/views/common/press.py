"""Buttons that act on what the page's fields say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def button(label: str, act: Callable[..., object], *values: object, **options: Any) -> None:
    """Show a button that calls ``act(*values)`` and then runs the page again.

    ``values`` are those of the run that the click starts. A callback's arguments are of the run
    before it, so a number typed just before the click would be lost. A button that this run
    disables, such as for that number, does not act.
    """
    if st.button(label, **options) and not options.get("disabled"):
        act(*values)
        st.rerun()
