"""Values of widgets, held to their bounds here: a browser, or a program, may send any."""

from __future__ import annotations

import math
from typing import TypeVar

Number = TypeVar("Number", int, float)


def within(value: Number | None, low: Number, high: Number) -> Number:
    """``value`` or the nearest that ``low`` and ``high`` allow; ``low`` for none and for NaN."""
    if value is None or math.isnan(value):
        return low
    return type(low)(min(max(value, low), high))
