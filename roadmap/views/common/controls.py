"""What Streamlit's controls are told about their options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def titled(titles: Mapping[Any, str]) -> Callable[[Any], str]:
    """For ``format_func``: the title of an option; a browser may send any value."""
    return lambda key: titles.get(key, str(key))
