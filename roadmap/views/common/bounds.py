"""Bounds of widget values, enforced on the server: a program may send any value."""

from __future__ import annotations

import math
from typing import TypeVar

Number = TypeVar("Number", int, float)


def within(value: Number | None, low: Number, high: Number) -> Number:
    """Clamp ``value`` to ``low`` and ``high``; None and NaN become ``low``."""
    if value is None or math.isnan(value):
        return low
    return type(low)(min(max(value, low), high))
