"""The selected step on the Roadmap page: hypothesis, mechanism, evidence and confidence.

Each is a small picture made of a table, so that a screen reader reads its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from models.spec import network_spec
from roadmap.analysis import evidence
from roadmap.analysis.evidence import Result
from roadmap.definition import Roadmap
from roadmap.drawing.words import ACTIVATIONS, NORMS, label
from roadmap.html_table import NUMBER, Cell, Row, html_table, numbers, row_head
from roadmap.measure.kinds import KINDS, KindChange, layers_by_kind, macs_by_kind, parts
from roadmap.steps import ROADMAPS, source
from roadmap.text import counted, data_title, number, signed
from roadmap.views.common import markup
from roadmap.views.common.picture_link import picture_link
from roadmap.views.common.step_control import step_heading

#: Names and explanations of the verdicts of ``roadmap.analysis.evidence``.
VERDICTS = {
    evidence.STRONG: ("Strong", "Every result with an interval is significant"),
    evidence.NOISE: ("Within noise", "Not significant"),
    evidence.CONTRADICTED: ("Contradicted here", "Significant, against the published direction"),
    evidence.NO_TEST: ("Not tested", "No result has an interval"),
}
NAMES = {kind: label(name) for kind, name in (NORMS | ACTIVATIONS).items()} | {
    "scale": "Layer scale"
}


@st.cache_data(show_spinner=False, max_entries=128)
def _results(roadmap: str, step: str) -> tuple[Result, ...]:
    return evidence.results(roadmap, step)


def hypothesis(roadmap: Roadmap, key: str) -> str:
    """Return the step's heading, and its hypothesis with the source."""
    step = roadmap.step(key)
    cite = f"<cite>{escape(source(step))}</cite>"
    said = f'<p class="hypothesis">{escape(step.hypothesis)} {cite}</p>'
    return step_heading(roadmap, key) + said


def rows(roadmap: Roadmap, key: str) -> str:
    """Return mechanism, evidence and confidence of a step, and a link to a picture in it."""
    found = _results(roadmap.name, key)
    named = (
        ("Mechanism", _mechanism(roadmap, key)),
        ("Evidence", _evidence(roadmap, key, found)),
        ("Confidence", _confidence(roadmap, key, found)),
    )
    return (
        '<div class="panel">'
        + "".join(_row(*row) for row in named)
        + "</div>"
        + picture_link(roadmap, key)
    )


def _row(name: str, picture: str) -> str:
    label = f"panel-{name.lower()}"
    return (
        f'<section class="panel-row" aria-labelledby="{label}">'
        f'<h3 class="panel-name" id="{label}">{name}</h3><div>{picture}</div></section>'
    )


# Mechanism


def _mechanism(roadmap: Roadmap, key: str) -> str:
    previous, after = roadmap.previous(key), roadmap.config(key)
    if previous is None:
        made = parts({}, macs_by_kind(after))
        return _waterfall(made, 0, sum(part.after for part in made))
    before = roadmap.config(previous.key)
    costs = [macs_by_kind(config) for config in (before, after)]
    layers = parts(layers_by_kind(before), layers_by_kind(after))
    if costs[0] != costs[1]:
        return _waterfall(parts(*costs), *(sum(cost.values()) for cost in costs))
    total = f"{_gflops(sum(costs[1].values()))} GFLOPs, as before."
    if network_spec(before) == network_spec(after):
        total = f"No layer changes, only the training: {total}"
    return _layers(layers) + markup.paragraph(total, "faint")


def _waterfall(changed: Sequence[KindChange], before: int, after: int) -> str:
    """Return the GFLOPs before, the change of each kind of layer, and the GFLOPs after."""
    ends, now = [before, after], before
    for part in changed:
        now += part.change
        ends.append(now)
    span = max(ends)
    lines = [_bar("Before", 0, before, span, "total", _gflops(before))] if before else []
    now = before
    for part in changed:
        kind = "rise" if part.change > 0 else "fall"
        text = signed(part.change / 1e9, 2 if abs(part.change) >= 5e6 else 3)
        lines.append(_bar(KINDS[part.kind], now, now + part.change, span, kind, text))
        now += part.change
    lines.append(_bar("After" if before else "Total", 0, after, span, "total", _gflops(after)))
    return html_table(["", "", *numbers(["GFLOPs"])], lines, "strip waterfall")


def _layers(changed: Sequence[KindChange]) -> str:
    """Return the number of layers of each kind that changes, before and after."""
    if not changed:
        return ""
    most = max(max(part.before, part.after) for part in changed)
    lines = []
    for part in changed:
        old = _at(0, part.before, most, "ghost")
        text = f"{part.before} → {part.after}"
        lines.append(_bar(NAMES[part.kind], 0, part.after, most, "total", text, old))
    return html_table(["", "", *numbers(["Layers"])], lines, "strip waterfall")


def _gflops(macs: int) -> str:
    return number(macs / 1e9, 2)


def _bar(
    name: str, start: float, end: float, span: float, kind: str, text: str, more: str = ""
) -> Row:
    track = Cell(before=more + _at(start, end, span, kind), kind="track")
    return Row([row_head(name), track, Cell(text, NUMBER)], kind)


def _at(start: float, end: float, span: float, kind: str) -> str:
    """Return a mark from ``start`` to ``end`` of an axis from 0 to ``span``."""
    left, right = sorted((start / span, end / span))
    return f'<i class="{kind}" style="left:{left:.2%};width:{right - left:.2%}"></i>'


# Evidence


def _evidence(roadmap: Roadmap, key: str, found: Sequence[Result]) -> str:
    """Return all results on one axis of change: a dot with its interval, if it has one."""
    if roadmap.previous(key) is None:
        return markup.paragraph(
            "Each result is a change from the step before; this is the first step.", "faint"
        )
    if not found:
        return markup.paragraph("No result is published, and no run is included.", "faint")
    ends = [0.0, *(x for r in found for x in (r.change, r.low, r.high) if x is not None)]
    low, high = min(ends), max(ends)
    room = 0.04 * (high - low or 1)
    low, high = low - room, high + room
    lines = [
        Row(
            [
                row_head(_where(result)),
                Cell(before=_dot(result, low, high), kind="track"),
                Cell(signed(result.change, 2), NUMBER),
            ]
        )
        for result in found
    ]
    note = "Points of top-1 against the step before. Lines are 95% intervals."
    return html_table(["", "", *numbers(["Change"])], lines, "strip dots") + markup.paragraph(
        note, "faint"
    )


def _where(result: Result) -> str:
    """Return network, data and number of runs of a result."""
    network = ROADMAPS[result.roadmap].networks[0]
    runs = counted(result.seeds, "seed")
    if result.data is None:
        return f"{network}, published, {runs}"
    return f"{network}, here, {data_title(result.data)}, {runs}"


def _dot(result: Result, low: float, high: float) -> str:
    def place(value: float) -> float:
        return (value - low) / (high - low)

    whisker = ""
    if result.low is not None and result.high is not None:
        left, right = place(result.low), place(result.high)
        whisker = f'<i class="interval" style="left:{left:.2%};width:{right - left:.2%}"></i>'
    zero = f'<i class="zero" style="left:{place(0):.2%}"></i>'
    kind = "paper" if result.data is None else "here"
    return f'{zero}{whisker}<i class="dot {kind}" style="left:{place(result.change):.2%}"></i>'


# Confidence


def _confidence(roadmap: Roadmap, key: str, found: Sequence[Result]) -> str:
    if roadmap.previous(key) is None:
        return markup.paragraph(
            "Nothing to test: the other steps are compared with this one.", "faint"
        )
    judged = evidence.confidence(roadmap.step(key), found)
    title, said = VERDICTS[judged.verdict]
    where = "; ".join(_said(result) for result in judged.deciding)
    text = f"{said}: {where}." if where else f"{said}."
    scale = "".join(
        f'<i class="{"on" if verdict == judged.verdict else ""}"></i>'
        for verdict in VERDICTS
        if verdict != evidence.NO_TEST
    )
    return (
        f'<p class="verdict {judged.verdict.replace(" ", "-")}"><span class="scale" '
        f'aria-hidden="true">{scale}</span>{title}</p>' + markup.paragraph(text, "faint")
    )


def _said(result: Result) -> str:
    interval = f"95% interval {signed(result.low, 2)} to {signed(result.high, 2)}"
    return f"{_where(result)}, {signed(result.change, 2)} ({interval})"
