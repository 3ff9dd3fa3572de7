"""Charts of one run in progress, over earlier runs, as HTML with an SVG.

Streamlit draws a Plotly chart anew whenever its data change, so that it is gone for some frames and
a reader's tooltip with it. These change in place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from statistics import fmean
from typing import Literal, NamedTuple

from roadmap.text import number

Role = Literal["before", "earlier", "now"]
#: From back to front: the step before, earlier seeds of the step, this run.
ROLES: tuple[Role, ...] = ("before", "earlier", "now")
#: Ticks of an axis, at most, and places that show their values to a pointer.
MOST_TICKS, MOST_TIPS = 5, 60


class Curve(NamedTuple):
    """The ``values`` of one run, at ``epochs`` (fractions within an epoch)."""

    role: Role
    epochs: Sequence[float]
    values: Sequence[float]


def live_chart(
    curves: Sequence[Curve],
    names: Mapping[Role, str],
    epochs: int,
    title: str,
    alt: str,
    decimals: int,
    *,
    zoomed: bool = False,
) -> str:
    """Return a chart of ``curves`` over a run of ``epochs``, this run on top.

    ``names`` are those of the roles, ``alt`` is its text alternative. Once this run is past its
    steep first quarter, a ``zoomed`` chart leaves out values of that quarter, and says so.
    """
    drawn = sorted(
        (curve for curve in curves if curve.values), key=lambda curve: ROLES.index(curve.role)
    )
    ticks = _ticks(*_span(drawn, epochs, zoomed))
    low, high = ticks[0], ticks[-1]
    if any(not low <= value <= high for curve in drawn for value in curve.values):
        title += f" (scaled to epoch {epochs // 4 + 1} onward)"
    lines = "".join(_line(curve, epochs, low, high) for curve in drawn)
    grid = "".join(
        f'<span class="y" style="bottom:{_share(tick, low, high):.2f}%">{_said(tick, ticks)}</span>'
        for tick in ticks
    )
    marks = _ticks(0, epochs, whole=True)
    below = "".join(
        f'<span class="x" style="left:{100 * tick / epochs:.2f}%">{tick:g}</span>'
        for tick in marks
        if tick <= epochs
    )
    return (
        f'<figure class="live"><figcaption>{escape(title)}</figcaption>'
        f'<div class="plot" role="img" aria-label="{escape(alt)}">{grid}{below}'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{lines}</svg>'
        f"{_tips(drawn, names, epochs, decimals)}</div></figure>"
    )


def _span(curves: Sequence[Curve], epochs: int, zoomed: bool) -> tuple[float, float]:
    """Return the lowest and the highest value to show."""
    every = [value for curve in curves for value in curve.values]
    late = [
        value
        for curve in curves
        for epoch, value in zip(curve.epochs, curve.values, strict=True)
        if epoch > epochs / 4
    ]
    reached = max((curve.epochs[-1] for curve in curves if curve.role == "now"), default=0)
    shown = late if zoomed and late and reached > epochs / 4 else every or [0.0]
    return min(shown), max(shown)


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return at most ``MOST_TICKS`` round numbers that enclose ``low`` to ``high``."""
    width = high - low or max(abs(high), 1) / 10
    exponent = math.floor(math.log10(width / MOST_TICKS))
    for factor in (1, 2, 5, 10, 20, 50):
        step = factor * 10**exponent
        if whole and step < 1:
            continue
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last == first:
            last += 1
        if last - first < MOST_TICKS:
            return [round(place * step, 12) for place in range(first, last + 1)]
    raise AssertionError("the steps are wide enough")


def _said(tick: float, ticks: Sequence[float]) -> str:
    step = ticks[1] - ticks[0]
    return number(tick, max(0, -math.floor(math.log10(step) + 1e-9)))


def _share(value: float, low: float, high: float) -> float:
    return 100 * (value - low) / (high - low)


def _line(curve: Curve, epochs: int, low: float, high: float) -> str:
    points = [
        (100 * epoch / epochs, 100 - _share(value, low, high))
        for epoch, value in zip(curve.epochs, curve.values, strict=True)
    ]
    if len(points) == 1:  # a line of no length, which its round ends make a dot
        points *= 2
    text = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return f'<polyline class="{curve.role}" points="{text}"/>'


def _tips(curves: Sequence[Curve], names: Mapping[Role, str], epochs: int, decimals: int) -> str:
    """Return strips that show, under a pointer, the values at their places."""
    now = next((curve for curve in curves if curve.role == "now"), None)
    longest = now or max(curves, key=lambda curve: len(curve.values), default=None)
    if longest is None:
        return ""
    every = math.ceil(len(longest.epochs) / MOST_TIPS)
    places = longest.epochs[::-every][::-1]
    middles = [(one + two) / 2 for one, two in pairwise(places)]
    last = 2 * places[-1] - middles[-1] if middles else places[-1] + 0.5
    edges = [0.0, *middles, min(last, epochs)]
    strips = []
    for place, left, right in zip(places, edges[:-1], edges[1:], strict=True):
        rows = "".join(f"<br>{escape(row)}" for row in _values(curves, names, place, decimals))
        side = "right" if place > epochs / 2 else "left"
        strips.append(
            f'<div class="tip" style="left:{100 * left / epochs:.2f}%;'
            f'width:{100 * (right - left) / epochs:.2f}%" aria-hidden="true">'
            f'<span class="{side}">Epoch {place:.3g}{rows}</span></div>'
        )
    return "".join(strips)


def _values(
    curves: Sequence[Curve], names: Mapping[Role, str], place: float, decimals: int
) -> list[str]:
    """Return the mean of each role's curves at ``place``, this run first."""
    rows = []
    for role in reversed(ROLES):
        found = [
            curve.values[index]
            for curve in curves
            if curve.role == role
            for index in [_nearest(curve.epochs, place)]
            if abs(curve.epochs[index] - place) <= 0.5
        ]
        if found:
            mean = "mean " if len(found) > 1 else ""
            rows.append(f"{names[role]}: {mean}{number(fmean(found), decimals)}")
    return rows


def _nearest(places: Sequence[float], place: float) -> int:
    return min(range(len(places)), key=lambda index: abs(places[index] - place))
