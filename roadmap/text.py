"""Number formats of the app, with the same rounding and signs everywhere."""

from __future__ import annotations

import math
import re

ABSENT = "–"
#: Titles of data sets whose names in files are not theirs.
DATA_TITLES = {
    "tiny-imagenet-100": "Tiny ImageNet-100",
    "cifar100": "CIFAR-100",
    "cifar10": "CIFAR-10",
    "digits": "Digits",
}


def number(value: float | None, decimals: int) -> str:
    """Format a number: ``1234.5`` to 0 decimals is ``1,234``; a missing value is a dash."""
    if value is None or math.isnan(value):
        return ABSENT
    text = f"{value:,.{decimals}f}".replace("-", "−")
    return text if text.strip("−0.") else text.removeprefix("−")  # no minus before zero


def scientific(value: float) -> str:
    """Format a number; small and large ones with a power of ten: ``1e-06`` is ``10⁻⁶``."""
    digits, _, exponent = f"{value:g}".partition("e")
    if not exponent:
        return digits
    power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if digits == "1" else f"{digits}×{power}"


def signed(value: float | None, decimals: int) -> str:
    """Format a number with its sign, also a plus; zero has no sign."""
    text = number(value, decimals)
    return f"+{text}" if text.strip("0.") and text[0].isdigit() else text


def p_value(p: float | None, equals: str = "") -> str:
    """Format p to three decimals, or as '<0.001'; ``equals`` precedes an exact value."""
    if p is None or p != p:
        return ABSENT
    sign = f"{equals} " if equals else ""
    return f"{'< ' if equals else '<'}0.001" if p < 0.001 else f"{sign}{p:.3f}"


def change(after: float | None, before: float | None, decimals: int) -> str:
    """Format the signed difference of the rounded values; a missing value is a dash."""
    if after is None or before is None or math.isnan(after) or math.isnan(before):
        return ABSENT
    difference = round(round(after, decimals) - round(before, decimals), decimals)
    return "±0" if difference == 0 else f"{difference:+,.{decimals}f}".replace("-", "−")


def telling(after: float, before: float, decimals: int) -> int:
    """Add up to three ``decimals`` if needed to show that two values differ."""
    while after != before and decimals < 3 and change(after, before, decimals) == "±0":
        decimals += 1
    return decimals


def counted(count: int, noun: str) -> str:
    """Format a count: ``1 epoch``, ``2 epochs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def slug(text: str) -> str:
    """Return ``text`` in lower case with hyphens, for file names and URLs: ``nvidia-h200``."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def duration(seconds: float) -> str:
    """Format a duration: ``1 h 05 min``, ``12 min``, ``40 s``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def time_limit(minutes: float) -> str:
    """Format a limit as it was given, ``1.5 min``, where ``duration`` would round it."""
    if 1 <= minutes < 60 and abs(minutes - round(minutes)) >= 0.05:
        return f"{minutes:.1f} min"
    return duration(60 * minutes)


def data_title(name: str) -> str:
    """Return the title of a data set, or its name as it is for a user's own.

    A folder of pocket networks or of runs of another length (``roadmap.sweep.background``) has
    that in its title.
    """
    data, _, epochs = name.removesuffix("-epochs").rpartition("-")
    ours = data in DATA_TITLES or data.endswith("-pocket")
    if ours and name.endswith("-epochs") and epochs.isdigit():
        return f"{data_title(data)}, {counted(int(epochs), 'epoch')}"
    data = name.removesuffix("-pocket")
    return DATA_TITLES.get(data, data) + (", small networks" if data != name else "")
