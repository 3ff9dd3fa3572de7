"""Inside one network: the cost of each layer, and the receptive field of an output position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.style import CLEAR, FONT_SIZE
from roadmap.palette import BLUE, BROWN, CYAN, GRAY, ORANGE, PLUM
from roadmap.text import number

if TYPE_CHECKING:
    from pandas import DataFrame

#: Title and color of each kind of ``ModuleCost``, in legend order.
KINDS: dict[str, tuple[str, str]] = {
    "1x1": ("1×1 convolution", BLUE),
    "conv": ("convolution", CYAN),
    "depthwise": ("depthwise convolution", ORANGE),
    "linear": ("classifier", PLUM),
    "norm": ("norm", BROWN),
    "scale": ("layer scale", GRAY),
}
#: Color of the text on each color, the one with more contrast.
TEXTS = dict.fromkeys((BLUE, PLUM, BROWN), "#ffffff") | dict.fromkeys(
    (CYAN, ORANGE, GRAY), "#000000"
)
TREEMAP_HEIGHT = 520
SMALLEST = 0.005  # share of an area with a text
HEADER = "rgba(124, 128, 136, 0.16)"  # for parts and blocks, around their layers
MAP_HEIGHT = 420


def cost_treemap(table: DataFrame, column: str, unit: str, decimals: int) -> go.Figure:
    """Draw a treemap of ``column``: network, part, block, layer.

    ``table`` has one row per layer with ``path``, ``part`` (stem, stage 1, ..., head), ``block``
    (empty outside the stages), ``layer`` and ``kind`` (of ``KINDS``). Values are printed with
    ``unit`` and ``decimals``. Layers with a value of zero are left out.
    """
    rows = table[table[column] > 0]
    total = float(rows[column].sum())
    nodes: dict[str, _Node] = {}
    for row in rows.to_dict("records"):
        part, block, value = row["part"], row["block"], float(row[column])
        parent = _grown(nodes, part, part, "", value)
        if block:
            parent = _grown(nodes, f"{part}, {block}", block, part, value)
        nodes[row["path"]] = _Node(row["layer"], parent, KINDS[row["kind"]][1], value)
    shares = [f"{100 * node.value / total:.1f}%" for node in nodes.values()]
    values = [f"{number(node.value, decimals)} {unit}" for node in nodes.values()]
    return go.Figure(
        go.Treemap(
            ids=list(nodes),
            labels=[node.label for node in nodes.values()],
            parents=[node.parent for node in nodes.values()],
            values=[node.value for node in nodes.values()],
            marker={
                "colors": [node.color for node in nodes.values()],
                "line": {"width": 0},
                "pad": {"t": 20, "l": 2, "r": 2, "b": 2},
            },
            text=shares,
            customdata=values,
            texttemplate=[_written(node, total) for node in nodes.values()],
            hovertemplate="%{id}<br>%{customdata}, %{text}<extra></extra>",
            branchvalues="total",
            tiling={"pad": 1.5},
            root={"color": CLEAR},
            pathbar={"visible": False},
            textfont={
                "size": FONT_SIZE - 1,
                # The theme's color replaces gray, on the faint areas around the layers.
                "color": [TEXTS.get(node.color, GRAY) for node in nodes.values()],
            },
        ),
        style.layout(TREEMAP_HEIGHT, margin={"l": 0, "r": 0, "t": 4, "b": 0}),
    )


@dataclass(frozen=True)
class _Node:
    """An area; ``value`` is its own or the sum of its children's."""

    label: str
    parent: str
    color: str
    value: float


def _written(node: _Node, total: float) -> str:
    """Return the template of a node's text; a small layer has no room for one."""
    if node.color == HEADER:
        return "%{label}  %{text}"
    return "%{label}<br>%{text}" if node.value >= SMALLEST * total else ""


def _grown(nodes: dict[str, _Node], key: str, label: str, parent: str, value: float) -> str:
    """Add ``value`` to the area ``key``, which is created if missing; return ``key``."""
    before = nodes[key].value if key in nodes else 0.0
    nodes[key] = _Node(label, parent, HEADER, before + value)
    return key


def field_map(
    cells: Sequence[Sequence[float]],
    cell: int,
    center: float,
    sides: Sequence[tuple[float, int]],
    theoretical: int,
) -> go.Figure:
    """Draw how much each cell of ``cell`` pixels influences the position at ``center``.

    ``cells`` (rows from the top) are relative to the maximum. ``sides`` are shares of the total
    and the side of the square that holds each, drawn as outlines. The ``theoretical`` field is
    dashed if it lies within the image. Axes are in pixels from the center.
    """
    places = [(place + 0.5) * cell - 0.5 - center for place in range(len(cells))]
    ends = [places[0] - cell / 2, places[-1] + cell / 2]
    axis: dict[str, Any] = {"automargin": True, "constrain": "domain", "showgrid": False}
    return go.Figure(
        go.Heatmap(
            x=places,
            y=places,
            z=cells,
            zmin=0,
            zmax=1,
            colorscale=[[0, style.faded(BLUE, 0.03)], [1, BLUE]],
            hovertemplate="%{x:.0f}, %{y:.0f} pixels from the center<br>"
            "%{z:.0%} of the maximum<extra></extra>",
            showscale=False,
        ),
        style.layout(
            MAP_HEIGHT,
            margin={"l": 44, "r": 8, "t": 8, "b": 44},
            xaxis=style.axis("Pixels from the center", range=ends, **axis),
            yaxis=style.axis("", range=ends[::-1], scaleanchor="x", scaleratio=1, **axis),
            shapes=[
                _square(theoretical, GRAY, 2, "dash"),
                *(_square(side, ORANGE, 2, "solid") for _, side in sides),
            ],
            annotations=[_share(share, side) for share, side in sides],
        ),
    )


def _square(side: float, color: str, width: float, dash: str) -> dict[str, Any]:
    half = side / 2
    line = {"color": color, "width": width, "dash": dash}
    return {"type": "rect", "x0": -half, "x1": half, "y0": -half, "y1": half, "line": line}


def _share(share: float, side: int) -> dict[str, Any]:
    """Write the share above the upper edge of its square."""
    return style.note(f"{100 * share:.0f}% in {side} px", 0, -side / 2, yanchor="bottom")
