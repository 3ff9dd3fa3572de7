"""Bounds of widget values, enforced on the server: a program may send any value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

Number = TypeVar("Number", int, float)
Choice = TypeVar("Choice")


def within(value: Number | None, low: Number, high: Number) -> Number:
    """Clamp ``value`` to ``low`` and ``high``; None and NaN become ``low``."""
    if value is None or math.isnan(value):
        return low
    return type(low)(min(max(value, low), high))


def known(value: object, options: Sequence[Choice]) -> Choice:
    """Return ``value`` if it is one of ``options``, else the first of them."""
    return next((option for option in options if option == value), options[0])
