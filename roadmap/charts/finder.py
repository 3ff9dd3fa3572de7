"""Accuracy against a measured figure, with the Pareto front and the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.names import Plot, name_points
from roadmap.charts.sizes import MARGIN, FamilyMarker, areas, log_axis
from roadmap.find.answer import MeasuredPoint, front, winners
from roadmap.find.candidates import OWN, PROJECT, Candidate
from roadmap.find.question import Question
from roadmap.palette import BLUE, GRAY, ORANGE, PLUM

HEIGHT = 460
LONGEST = 28  # letters of a name
SIZE = 11
ANSWER = 22  # diameter of the ring around the answer
EDGE = 2  # width of a mark's line

#: How the networks of a library are drawn.
MARKERS = {
    "timm": FamilyMarker(BLUE, "circle"),
    "torchvision": FamilyMarker(PLUM, "square"),
    PROJECT: FamilyMarker(ORANGE, "diamond"),
}


def finder_chart(question: Question, measured: Sequence[MeasuredPoint]) -> go.Figure:
    """Plot top-1 against the asked figure (log scale) for the measured candidates.

    ``measured`` is sorted from the best figure and has at least one candidate with a known top-1. A
    gray band is the Pareto front, a dashed line the asked top-1, a ring the answer; a user's config
    is a vertical line, since its accuracy is not known. Open marks were disturbed.
    """
    known = [point for point in measured if point.candidate.top1 is not None]
    best = front(known)
    spans = _spans(question, measured, known)
    return go.Figure(
        [
            *style.front_line(
                [point.value for point in best], [point.candidate.top1 or 0.0 for point in best]
            ),
            _demand(question, spans),
            *(_own_line(point, spans) for point in measured if point.candidate.source == OWN),
            *(_marks(name, known, question) for name in MARKERS),
            _ring(winners(question, known)),
        ],
        style.layout(
            HEIGHT,
            margin=MARGIN,
            xaxis=log_axis(question.measured.axis, spans[0]),
            yaxis=style.axis(
                "ImageNet-1K top-1 accuracy, %", range=spans[1], fixedrange=True, automargin=False
            ),
            annotations=_names(question, known, best, spans),
            hoverlabel={"font": {"size": style.FONT_SIZE}},
        ),
    )


Span = tuple[float, float]


def _spans(
    question: Question, measured: Sequence[MeasuredPoint], known: Sequence[MeasuredPoint]
) -> tuple[Span, Span]:
    """Return the ranges of both axes with room for marks and labels; the first in log10."""
    figures = [math.log10(point.value) for point in measured]
    accuracies = [*(point.candidate.top1 or 0.0 for point in known), question.top1]
    spans = []
    for values, least in ((figures, 0.3), (accuracies, 1.0)):
        low, high = min(values), max(values)
        room = max(0.1 * (high - low), (least - (high - low)) / 2)
        spans.append((low - room, high + room))
    return spans[0], spans[1]


def _demand(question: Question, spans: tuple[Span, Span]) -> go.Scatter:
    return go.Scatter(
        x=[10**end for end in spans[0]],
        y=[question.top1] * 2,
        mode="lines",
        line={"color": GRAY, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
    )


def _own_line(point: MeasuredPoint, spans: tuple[Span, Span]) -> go.Scatter:
    return go.Scatter(
        x=[point.value] * 2,
        y=list(spans[1]),
        mode="lines",
        name="your config",
        line={"color": ORANGE, "width": 2, "dash": "dot"},
        hovertemplate="your config<extra></extra>",
    )


def _marks(name: str, known: Sequence[MeasuredPoint], question: Question) -> go.Scatter:
    drawn = MARKERS[name]
    chosen = [point for point in known if point.candidate.library == name]
    return go.Scatter(
        x=[point.value for point in chosen],
        y=[point.candidate.top1 for point in chosen],
        mode="markers",
        name=name,
        text=[_hover(point, question) for point in chosen],
        hovertemplate="%{text}<extra></extra>",
        marker={
            "symbol": [drawn.symbol + ("-open" if point.disturbed else "") for point in chosen],
            "size": SIZE,
            "color": drawn.color,
            "line": {"color": drawn.color, "width": EDGE},
        },
    )


def _hover(point: MeasuredPoint, question: Question) -> str:
    lines = [
        f"<b>{point.candidate.title}</b>",
        f"{point.candidate.top1:.1f}% top-1",
        question.measured.show(point.value),
        point.candidate.trained_on,
    ]
    if point.disturbed:
        lines.append(f"disturbed: {point.disturbed}")
    return "<br>".join(lines)


def _ring(able: Sequence[MeasuredPoint]) -> go.Scatter:
    chosen = able[:1]
    return go.Scatter(
        x=[point.value for point in chosen],
        y=[point.candidate.top1 for point in chosen],
        mode="markers",
        marker={"symbol": "circle-open", "size": ANSWER, "color": GRAY, "line": {"width": 3}},
        hoverinfo="skip",
    )


def _names(
    question: Question,
    known: Sequence[MeasuredPoint],
    best: Sequence[MeasuredPoint],
    spans: tuple[Span, Span],
) -> list[dict[str, Any]]:
    """Name the answer and the front where there is room, the part above the asked top-1 first."""
    able = winners(question, known)
    named = list(dict.fromkeys([*able[:1], *winners(question, best), *best]))
    points = [*named, *(point for point in known if point not in named)]
    places = [(math.log10(point.value), point.candidate.top1 or 0.0) for point in points]
    radii = [(ANSWER if [point] == able[:1] else SIZE) / 2 + EDGE for point in points]
    names = [_short(point.candidate) for point in named]
    curve = [(math.log10(point.value), point.candidate.top1 or 0.0) for point in best]
    return name_points(places, radii, names, Plot(spans, areas(HEIGHT), curve))


def _short(candidate: Candidate) -> str:
    """Return a name of limited length: without timm's patch sizes."""
    name = candidate.short.removeprefix("tf_").split("_patch")[0]
    size = "" if candidate.image_size == 224 else f" {candidate.image_size}"
    return name[:LONGEST] + size
