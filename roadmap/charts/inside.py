"""Inside one network: where its cost is, and what one position of its output sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.style import CLEAR, FONT_SIZE, GRID
from roadmap.palette import BLUE, BROWN, CYAN, GREY, ORANGE, PLUM
from roadmap.text import number

if TYPE_CHECKING:
    from pandas import DataFrame

#: Colours of layers by kind, in the order of the legend: the kinds of ``ModuleCost`` in words.
KINDS: dict[str, tuple[str, str]] = {
    "1x1": ("1×1 convolution", BLUE),
    "conv": ("convolution", CYAN),
    "depthwise": ("depthwise convolution", ORANGE),
    "linear": ("classifier", PLUM),
    "norm": ("norm", BROWN),
    "scale": ("layer scale", GREY),
}
TREEMAP_HEIGHT = 520
#: Of the heat maps: four powers of ten.
DECADES = 4


def cost_treemap(table: DataFrame, column: str, unit: str, decimals: int) -> go.Figure:
    """Area for area what each module has of ``column``: network, part, block, layer.

    ``table`` has a row a layer with ``path``, ``part`` (stem, stage 1, ..., head), ``block``
    (empty outside of stages), ``layer`` and ``kind`` (of ``KINDS``). Values are printed with
    ``unit`` and ``decimals``. Layers without any are left out.
    """
    rows = table[table[column] > 0]
    total = float(rows[column].sum())
    nodes: dict[str, tuple[str, str, float, str]] = {}
    for row in rows.to_dict("records"):
        value, part = float(row[column]), row["part"]
        parents = [part] + ([f"{part} {row['block']}"] if row["block"] else [])
        above = ""
        for parent in parents:
            name, _, before, color = nodes.get(parent, (parent, above, 0.0, GRID))
            name = parent if parent == part else row["block"]
            nodes[parent] = (name, above, before + value, color)
            above = parent
        nodes[row["path"]] = (row["layer"], above, value, KINDS[row["kind"]][1])
    return go.Figure(
        go.Treemap(
            ids=list(nodes),
            labels=[node[0] for node in nodes.values()],
            parents=[node[1] for node in nodes.values()],
            values=[node[2] for node in nodes.values()],
            marker={
                "colors": [node[3] for node in nodes.values()],
                "line": {"width": 0.75, "color": "#ffffff"},
                "pad": {"t": 19, "l": 2, "r": 2, "b": 2},
            },
            text=[
                f"{number(node[2], decimals)} {unit}, {100 * node[2] / total:.1f} %"
                for node in nodes.values()
            ],
            texttemplate="%{label}<br>%{text}",
            hovertemplate="%{id}<br>%{text}<extra></extra>",
            branchvalues="total",
            tiling={"pad": 1},
            root={"color": CLEAR},
            pathbar={"visible": False},
            textfont={"size": FONT_SIZE - 1},
        ),
        style.layout(TREEMAP_HEIGHT, margin={"l": 0, "r": 0, "t": 4, "b": 0}, uniformtext=UNIFORM),
    )


UNIFORM = {"minsize": 11, "mode": "hide"}


def field_map(
    cells: Sequence[Sequence[float]],
    cell: int,
    center: float,
    sides: Sequence[tuple[float, int]],
    theoretical: int,
) -> go.Figure:
    """How much each cell of ``cell`` pixels moves the position that looks on ``center``.

    ``cells`` (rows from the top) are shares of the largest, coloured over four powers of ten.
    ``sides`` are shares of the whole and the side of the square that holds each, drawn as
    outlines; the ``theoretical`` field is dashed. Axes count pixels from the centre.
    """
    import numpy as np

    values = np.log10(np.maximum(np.asarray(cells, dtype=float), 10.0**-DECADES))
    places = (np.arange(len(cells)) + 0.5) * cell - 0.5 - center
    extent = float(np.abs(places).max()) + cell / 2
    axis: dict[str, Any] = {
        "range": [-extent, extent],
        "fixedrange": True,
        "constrain": "domain",
        "showgrid": False,
    }
    return go.Figure(
        go.Heatmap(
            x=places,
            y=places,
            z=np.round(values, 2),
            zmin=-DECADES,
            zmax=0,
            colorscale=[[0, _blue(0.0)], [0.5, _blue(0.35)], [1, _blue(1.0)]],
            hovertemplate="%{x:.0f}, %{y:.0f} pixels from the centre<br>"
            "10<sup>%{z:.1f}</sup> of the largest<extra></extra>",
            showscale=False,
        ),
        style.layout(
            400,
            margin={"l": 48, "r": 8, "t": 8, "b": 44},
            xaxis=style.axis("Pixels from the centre", **axis),
            yaxis=style.axis(
                "", **axis | {"range": [extent, -extent]}, scaleanchor="x", scaleratio=1
            ),
            shapes=[
                _square(theoretical, GREY, 1.5, "dash"),
                *(_square(side, ORANGE, 2, "solid") for _, side in sides),
            ],
            annotations=[_share(share, side) for share, side in sides],
        ),
    )


def _blue(alpha: float) -> str:
    red, green, blue = (int(BLUE[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def _square(side: float, color: str, width: float, dash: str) -> dict[str, Any]:
    half = side / 2
    line = {"color": color, "width": width, "dash": dash}
    return {"type": "rect", "x0": -half, "x1": half, "y0": -half, "y1": half, "line": line}


def _share(share: float, side: int) -> dict[str, Any]:
    """The share, above the upper edge of its square."""
    return {
        "x": 0,
        "y": -side / 2,
        "yanchor": "bottom",
        "text": f"{share:.0%}: {side} px",
        "showarrow": False,
        "font": {"size": FONT_SIZE - 1},
    }
