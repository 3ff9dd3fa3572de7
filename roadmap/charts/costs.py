"""A network among others: GFLOPs against parameters."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.names import WIDTHS, Plot, name_points
from roadmap.palette import BLUE, GRAY, ORANGE, PLUM
from roadmap.steps import ROADMAPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame

HEIGHT = 380
START = "Start"
#: Radius in pixels that a built network takes up, whatever its ring.
RING = 10.0
#: Built networks this close on both axes (decimal logarithms) share a label; the later distances
#: are for networks among others, where there is no room for a label each.
SAME = (0.008, 0.016, 0.032, 0.064)
#: Sizes of the plotting area in pixels, below a legend of two rows or of one.
AREAS = [(width, height) for width in WIDTHS for height in (270, 296)]
Point = tuple[float, float]


@dataclass(frozen=True)
class FamilyStyle:
    """How the networks of a family are drawn."""

    color: str
    symbol: str
    line: dict[str, Any]
    size: int


#: Names of the families of steps, by roadmap.
STEPS = {name: f"{ROADMAPS[name].short_title} steps" for name in ("resnet50", "resnet200")}
#: By name, in drawing order. Hovering shows the names of the networks.
FAMILIES: dict[str, FamilyStyle] = {
    STEPS["resnet50"]: FamilyStyle(GRAY, "circle", {"width": 1, "color": GRAY}, 6),
    STEPS["resnet200"]: FamilyStyle(
        GRAY, "circle-open", {"width": 1, "color": GRAY, "dash": "dot"}, 7
    ),
    "Swin": FamilyStyle(ORANGE, "square-open", {"width": 1.5, "color": ORANGE, "dash": "dash"}, 13),
    "ConvNeXt": FamilyStyle(BLUE, "diamond", {"width": 1.5, "color": BLUE}, 9),
}


def cost_map(table: DataFrame, chosen: Sequence[tuple[str, float, float]]) -> go.Figure:
    """Plot networks by GFLOPs and parameters, on logarithmic axes.

    ``table`` has ``family`` (of ``FAMILIES``), ``name``, ``params`` (millions) and ``gflops`` (per
    224-pixel image); a family's rows are in the order of its line. ``chosen`` are networks to
    highlight: label, GFLOPs and millions of parameters. A dotted line connects the one labeled
    ``START`` to the first of the others. A label has a line to its mark; Swin and ConvNeXt of a
    size share one.
    """
    spans = _span(table["gflops"], chosen, 1), _span(table["params"], chosen, 2)
    return go.Figure(
        [
            *(
                _family(name, family, table[table["family"] == name])
                for name, family in FAMILIES.items()
            ),
            *_from_start(chosen),
            *(_chosen(*point) for point in chosen),
        ],
        style.layout(
            HEIGHT,
            margin={"l": 52, "r": 12, "t": 8, "b": 42, "pad": 0},
            showlegend=True,
            legend={
                "orientation": "h",
                "x": 0,
                "y": 1.02,
                "yanchor": "bottom",
                "font": {"size": style.FONT_SIZE - 1},
                "itemclick": False,
                "itemdoubleclick": False,
            },
            xaxis=_log_axis("GFLOPs per image at 224 × 224", spans[0]),
            yaxis=_log_axis("Parameters, million", spans[1]),
            annotations=_labels(table, chosen, spans),
        ),
    )


def _family(name: str, family: FamilyStyle, rows: DataFrame) -> go.Scatter:
    return go.Scatter(
        x=rows["gflops"].tolist(),
        y=rows["params"].tolist(),
        mode="lines+markers",
        name=name,
        line=family.line,
        marker={"color": family.color, "symbol": family.symbol, "size": family.size},
        customdata=rows["name"].tolist(),
        hovertemplate="%{customdata}<br>%{x:.3g} GFLOPs, %{y:.3g} M<extra></extra>",
    )


def _chosen(label: str, gflops: float, params: float) -> go.Scatter:
    """Draw a ring."""
    return go.Scatter(
        x=[gflops],
        y=[params],
        mode="markers",
        name=label,
        marker={
            "color": PLUM,
            "symbol": "circle-open",
            "size": 8 if label == START else 17,
            "line": {"width": 3, "color": PLUM},
        },
        hovertemplate=f"{label}<br>%{{x:.3g}} GFLOPs, %{{y:.3g}} M<extra></extra>",
        showlegend=False,
    )


def _labels(
    table: DataFrame, chosen: Sequence[tuple[str, float, float]], spans: tuple[Point, Point]
) -> list[dict[str, Any]]:
    """Label the built networks, in bold, and the sizes where there is room.

    Lines touch other marks only where the built networks have no other places.
    """
    rings = [(label, (log10(gflops), log10(params))) for label, gflops, params in chosen]
    notes: list[dict[str, Any]] = []
    for touching, same in product((False, True), SAME):
        built = _together(rings, same)
        plot = Plot(spans, AREAS, _curve(table), overlapping=True, touching=touching)
        notes = _named(table, built, [at for _, at in rings], plot)
        bold = [note for note in notes if (note["x"], note["y"]) in built.values()]
        for note in bold:
            note.update(text=f"<b>{note['text']}</b>", arrowcolor=PLUM)
        if len(bold) == len(built):
            break
    return notes


def _together(rings: Sequence[tuple[str, Point]], same: float) -> dict[str, Point]:
    """Return labels and places; networks less than ``same`` apart share those of the first."""
    groups: dict[Point, list[str]] = {}
    for label, at in rings:
        near = (one for one in groups if max(abs(one[0] - at[0]), abs(one[1] - at[1])) < same)
        groups.setdefault(next(near, at), []).append(label)
    return {", ".join(labels): at for at, labels in groups.items()}


def _named(
    table: DataFrame, built: dict[str, Point], rings: Sequence[Point], plot: Plot
) -> list[dict[str, Any]]:
    """Return the labels that have a place, with their lines, those of ``built`` first."""
    sizes = _sizes(table)
    steps = table[table["family"].str.endswith(" steps")]
    marks = [
        *((at, RING) for at in built.values()),
        *((at, _radius("Swin")) for _, at in sizes),
        *((at, RING - 1) for at in rings if at not in built.values()),
        *((at, _radius(name)) for at, name in zip(_places(steps), steps["family"], strict=True)),
    ]
    return name_points(
        [at for at, _ in marks],
        [radius for _, radius in marks],
        [*built, *(letters for letters, _ in sizes)],
        plot,
    )


def _curve(table: DataFrame) -> list[Point]:
    return _places(table[table["family"] == "ConvNeXt"])


def _sizes(table: DataFrame) -> list[tuple[str, Point]]:
    """Return letters and place of each size, of Swin where it has that size: its mark is larger."""
    sizes: dict[str, Point] = {}
    for family in ("ConvNeXt", "Swin"):
        rows = table[table["family"] == family]
        letters = (name.removeprefix(f"{family}-") for name in rows["name"])
        sizes |= dict(zip(letters, _places(rows), strict=True))
    return list(sizes.items())


def _places(rows: DataFrame) -> list[Point]:
    return [(log10(x), log10(y)) for x, y in zip(rows["gflops"], rows["params"], strict=True)]


def _radius(family: str) -> float:
    return FAMILIES[family].size / 2 + 1


def _from_start(chosen: Sequence[tuple[str, float, float]]) -> list[go.Scatter]:
    """Draw a dotted line from the start to the built network."""
    places = {label: place for label, *place in chosen}
    if START not in places or len(places) < 2:
        return []
    end = next(place for label, place in places.items() if label != START)
    return [
        go.Scatter(
            x=[places[START][0], end[0]],
            y=[places[START][1], end[1]],
            mode="lines",
            line={"width": 2, "color": PLUM, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
    ]


def _span(values: Any, chosen: Sequence[tuple[str, float, float]], column: int) -> Point:
    """Return an axis range (decimal logarithms) with room for labels beside the outer points."""
    every = [*values, *(point[column] for point in chosen)]
    return log10(0.62 * min(every)), log10(1.6 * max(every))


def _log_axis(title: str, span: Point) -> dict[str, Any]:
    """Place ticks at 1, 2 and 5 times powers of ten, or only at the powers over a long range."""
    low, high = span
    powers = range(floor(low), ceil(high) + 1)
    steps = (1, 2, 5) if high - low < 3 else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return style.axis(
        title,
        type="log",
        automargin=True,
        range=[low, high],
        tickvals=ticks,
        ticktext=[f"{tick:,.10g}" for tick in ticks],
    )
