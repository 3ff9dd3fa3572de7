"""A slope chart of ranks: the same steps in two orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from roadmap.charts import style
from roadmap.charts.curves import spread
from roadmap.charts.rows import text_axis
from roadmap.palette import GRAY, GROUP_COLORS
from roadmap.text import data_title, number

if TYPE_CHECKING:
    from pandas import DataFrame, Series

ROW, TOP, BOTTOM = 22, 34, 8  # pixels
NAMES, RANKS, GAP = 176, 40, 6  # pixels: width of the texts at both ends, distance to the dots
LEAST = 0.75  # ranks between the names of tied steps


def rank_slopes(table: DataFrame) -> go.Figure:
    """Draw one line per step, from its rank by top-1 here to its rank by published top-1.

    Rank 1 is the best, and ties share the mean of their ranks. ``table`` has ``data``, ``title``,
    ``group``, ``adopted``, ``top1`` and ``paper_top1``; steps without a published top-1 are left
    out.
    """
    table = table[table["paper_top1"].notna()]
    here, paper = (table[key].rank(ascending=False) for key in ("top1", "paper_top1"))
    span = (len(table) + 0.5, 0.5)
    return go.Figure(
        [
            *(
                _slope(row, ends)
                for (_, row), ends in zip(
                    table.iterrows(), zip(here, paper, strict=True), strict=True
                )
            ),
            *(go.Scatter(x=[None], y=[None], yaxis=axis) for axis in ("y2", "y3")),
        ],
        style.layout(
            TOP + BOTTOM + ROW * len(table),
            margin={"l": NAMES, "r": RANKS, "t": TOP, "b": BOTTOM, "pad": 0},
            xaxis={"range": [-0.01, 1.01], "fixedrange": True, "visible": False},
            yaxis={"range": span, "fixedrange": True, "visible": False},
            yaxis2=_names(here, table["title"], span),
            yaxis3=_numbers(paper, span),
            annotations=[
                _heading(f"On {data_title(table['data'].iloc[0])}", 0),
                _heading("Published", 1),
            ],
        ),
    )


def _slope(row: Series, ends: tuple[float, float]) -> go.Scatter:
    color = GROUP_COLORS.get(row["group"], GRAY)
    return go.Scatter(
        x=[0, 1],
        y=[float(end) for end in ends],
        mode="lines+markers",
        cliponaxis=False,
        line={"color": color, "width": 2, "dash": "solid" if row["adopted"] else "dot"},
        marker={
            "size": 8,
            "symbol": "circle" if row["adopted"] else "circle-open",
            "line": {"width": 2, "color": color},
            "opacity": 1,
        },
        text=[f"{number(row[key], 2)}%" for key in ("top1", "paper_top1")],
        hovertemplate=f"<b>{row['title']}</b><br>rank %{{y}}, %{{text}}<extra></extra>",
    )


def _names(ranks: Series, titles: Series, span: tuple[float, float]) -> dict[str, object]:
    """Return an axis that prints title and rank at the left, shifted where steps are tied."""
    order = ranks.sort_values(kind="stable")
    places = spread([float(rank) for rank in order], LEAST, span[0])
    texts = [f"{titles[key]}  {order[key]:g}" for key in order.index]
    return text_axis(places, texts, span, 0, -GAP, "left")


def _numbers(ranks: Series, span: tuple[float, float]) -> dict[str, object]:
    places = sorted({float(rank) for rank in ranks})
    return text_axis(places, [f"{place:g}" for place in places], span, 1, GAP, "right")


def _heading(words: str, position: int) -> dict[str, object]:
    shift = RANKS if position else -GAP
    return style.note(f"<b>{words}</b>", position, 1, **style.ABOVE, xanchor="right", xshift=shift)
