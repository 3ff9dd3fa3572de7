"""Controls whose value is a parameter of the page's URL, and the titles of their options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from roadmap.views.common import address, markup


def titled(titles: Mapping[Any, str]) -> Callable[[Any], str]:
    """For ``format_func``: the title of an option; a browser may send any value."""
    return lambda key: titles.get(key, str(key))


def choice(page: str, name: str, title: str, titles: Mapping[str, str], **more: Any) -> str:
    """Show ``segments`` for the URL parameter ``name``, with a notice if it is invalid; return the
    chosen option."""
    chosen, problem = address.option(st.query_params, name, tuple(titles))
    if problem:
        st.html(markup.notice(problem))
    segments(page, name, title, titles, chosen, **more)
    return chosen


def segments(
    page: str, name: str, title: str, titles: Mapping[str, str], chosen: str, **more: Any
) -> None:
    """Show the options (keys of ``titles``) side by side, with ``chosen`` selected.

    A change sets the URL parameter ``name``. ``more`` is for ``st.segmented_control``.
    """
    _control(st.segmented_control, page, name, title, titles, chosen, required=True, **more)


def select(
    page: str, name: str, title: str, titles: Mapping[str, str], chosen: str, **more: Any
) -> None:
    """Show the options as ``segments`` does, in a drop-down list."""
    _control(st.selectbox, page, name, title, titles, chosen, **more)


def _control(
    control: Callable[..., Any],
    page: str,
    name: str,
    title: str,
    titles: Mapping[str, str],
    chosen: str,
    **more: Any,
) -> None:
    key = f"{page}-{name}"
    st.session_state[key] = chosen
    control(
        title,
        list(titles),
        format_func=titled(titles),
        key=key,
        on_change=lambda: st.query_params.update({name: st.session_state[key]}),
        **more,
    )
