"""Interactions: how the effect of one change depends on another, as a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from roadmap.analysis.verdict import ALPHA
from roadmap.html_table import NUMBER, Cell, html_table, numbers, row_head
from roadmap.palette import BLUE, ORANGE
from roadmap.report.text import signed
from roadmap.study import text
from roadmap.study.rows import interaction_rows
from roadmap.study.terms import CROSSED
from roadmap.views.common import figure, markup

if TYPE_CHECKING:
    from roadmap.study.effects import Effects, Interaction

#: The most pairs of changes that are listed; the CSV file has all.
MOST_PAIRS = 8
MOST_COLOR = 60  # percent of the color in the strongest cell
Cells = Mapping[tuple[str, str], "Interaction"]


def show(effects: Effects) -> None:
    import pandas as pd

    st.html(markup.heading("Interactions", 2, "section"))
    found = effects.interactions()
    cells = {(one.first.name, one.second.name): one for one in found}
    most = max(abs(one.effect.points) for one in found)
    crossed = {one.second.name for one in found if one.first.name not in CROSSED}
    columns = [name for name in CROSSED if name in crossed]
    rows = [f.name for f in effects.space.factors if f.name not in CROSSED]
    others = [one for one in found if one.second.name not in columns or one.first.name in columns]
    others = others[:MOST_PAIRS]
    st.html(
        markup.paragraph(
            "How many more points the change in the row gains at the column's highest value than "
            "at its lowest (negative: fewer). Bold: the 95% interval excludes zero (uncorrected).",
            "faint",
        )
        + _table(effects, rows, columns, cells, most)
        + _pairs(others, most)
    )
    figure.csv_button(pd.DataFrame(interaction_rows(effects)), "interactions")


def _table(
    effects: Effects, rows: Sequence[str], columns: Sequence[str], cells: Cells, most: float
) -> str:
    factors = effects.space.by_name
    lines = (
        [row_head(factors[row].title), *(_cell(cells.get((row, each)), most) for each in columns)]
        for row in rows
    )
    return html_table(["", *numbers(factors[each].title for each in columns)], lines, "heat")


def _pairs(found: Sequence[Interaction], most: float) -> str:
    """Return the table of pairs of changes, strongest interaction first."""
    lines = (
        [row_head(f"{one.first.title} with {one.second.title}"), _cell(one, most)] for one in found
    )
    return html_table(["Strongest of the other pairs", *numbers(["Points"])], lines, "heat below")


def _cell(found: Interaction | None, most: float) -> Cell:
    if found is None:
        return Cell(kind=NUMBER)
    effect = found.effect
    color = BLUE if effect.points > 0 else ORANGE
    share = round(MOST_COLOR * abs(effect.points) / most)
    around = ("<b>", "</b>") if effect.p < ALPHA else ("", "")
    style = {
        "style": f"background:color-mix(in srgb, {color} {share}%, transparent)",
        "title": text.with_interval(effect),
    }
    return Cell(signed(effect.points, 1), NUMBER, False, *around, style)
