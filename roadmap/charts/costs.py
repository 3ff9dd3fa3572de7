"""A network among others: GFLOPs against parameters."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.palette import BLUE, GRAY, ORANGE, PLUM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame

HEIGHT = 380
START = "Start"
#: Label positions of the built networks.
SIDES = {"A": "middle left", "B": "middle right", START: "bottom left"}


@dataclass(frozen=True)
class FamilyStyle:
    """How the networks of a family are drawn; ``side`` is the position of their labels."""

    color: str
    symbol: str
    line: dict[str, Any]
    size: int
    side: str | None = None


#: By name, in drawing order. Steps are small and unlabeled; hovering shows their names.
FAMILIES: dict[str, FamilyStyle] = {
    "ResNet-50 steps": FamilyStyle(GRAY, "circle", {"width": 1, "color": GRAY}, 6),
    "ResNet-200 steps": FamilyStyle(
        GRAY, "circle-open", {"width": 1, "color": GRAY, "dash": "dot"}, 7
    ),
    "Swin": FamilyStyle(
        ORANGE, "square-open", {"width": 1.5, "color": ORANGE, "dash": "dash"}, 13, "bottom right"
    ),
    "ConvNeXt": FamilyStyle(BLUE, "diamond", {"width": 1.5, "color": BLUE}, 9, "top left"),
}


def cost_map(table: DataFrame, chosen: Sequence[tuple[str, float, float]]) -> go.Figure:
    """Plot networks by GFLOPs and parameters, on logarithmic axes.

    ``table`` has ``family`` (of ``FAMILIES``), ``name``, ``params`` (millions) and ``gflops`` (per
    224-pixel image); a family's rows are in the order of its line. ``chosen`` are networks to
    highlight: label, GFLOPs and millions of parameters. A dotted line connects the one labeled
    ``START`` to the first of the others.
    """
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
            xaxis=_log_axis("GFLOPs per image at 224 × 224", _span(table["gflops"], chosen, 1)),
            yaxis=_log_axis("Parameters, million", _span(table["params"], chosen, 2)),
        ),
    )


def _family(name: str, family: FamilyStyle, rows: DataFrame) -> go.Scatter:
    named = family.side is not None
    return go.Scatter(
        x=rows["gflops"].tolist(),
        y=rows["params"].tolist(),
        mode="lines+markers+text" if named else "lines+markers",
        name=name,
        text=[text.removeprefix(f"{name}-") for text in rows["name"]] if named else None,
        textposition=family.side,
        textfont={"size": style.FONT_SIZE - 1, "color": family.color},
        line=family.line,
        marker={"color": family.color, "symbol": family.symbol, "size": family.size},
        customdata=rows["name"].tolist(),
        hovertemplate="%{customdata}<br>%{x:.3g} GFLOPs, %{y:.3g} M<extra></extra>",
    )


def _chosen(label: str, gflops: float, params: float) -> go.Scatter:
    """Draw a ring and a label, each label on its own side so that neighbors do not overlap."""
    return go.Scatter(
        x=[gflops],
        y=[params],
        mode="markers+text",
        name=label,
        text=[f"<b>{label}</b>"],
        textposition=SIDES.get(label, "middle right"),
        textfont={"size": style.FONT_SIZE + 1, "color": PLUM},
        marker={
            "color": PLUM,
            "symbol": "circle-open",
            "size": 8 if label == START else 17,
            "line": {"width": 3, "color": PLUM},
        },
        hovertemplate=f"{label}<br>%{{x:.3g}} GFLOPs, %{{y:.3g}} M<extra></extra>",
        showlegend=False,
    )


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


def _span(
    values: Any, chosen: Sequence[tuple[str, float, float]], column: int
) -> tuple[float, float]:
    """Return an axis range wide enough for labels beside the outermost points."""
    every = [*values, *(point[column] for point in chosen)]
    return 0.62 * min(every), 1.6 * max(every)


def _log_axis(title: str, span: tuple[float, float]) -> dict[str, Any]:
    """Place ticks at 1, 2 and 5 times powers of ten, or only at the powers over a long range."""
    low, high = (log10(end) for end in span)
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
