"""Interactions: how the effect of one change depends on another, as a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from roadmap.palette import BLUE, ORANGE
from roadmap.report.text import signed
from roadmap.study import text
from roadmap.study.rows import interaction_rows
from roadmap.study.terms import CROSSED
from roadmap.views.common import markup
from roadmap.views.common.figure import plain_cells

if TYPE_CHECKING:
    from roadmap.study.effects import Effects, Interaction

ALPHA = 0.05
MOST_COLOR = 60  # percent of the color in the strongest cell
Cells = Mapping[tuple[str, str], "Interaction"]


def show(effects: Effects) -> None:
    st.html(markup.heading("Interactions", 2, "section"))
    found = effects.interactions()
    if not found:
        words = "Too few runs have finished to estimate interactions."
        st.html(markup.paragraph(words, "text"))
        return
    cells = {(one.first.name, one.second.name): one for one in found}
    most = max(abs(one.effect.points) for one in found)
    crossed = {one.second.name for one in found if one.first.name not in CROSSED}
    columns = [name for name in CROSSED if name in crossed]
    rows = [f.name for f in effects.space.factors if f.name not in CROSSED]
    others = [one for one in found if one.second.name not in columns or one.first.name in columns]
    st.html(
        markup.paragraph(
            "How many points the row's effect changes by when the column goes from its lowest to "
            "its highest value. Bold: the 95% interval excludes zero.",
            "faint",
        )
        + _table(effects, rows, columns, cells, most)
        + (_pairs(others, most) if others else "")
    )
    st.download_button(
        "CSV",
        _csv(effects),
        "interactions.csv",
        "text/csv",
        key="csv-interactions",
        on_click="ignore",
        type="tertiary",
    )


def _table(
    effects: Effects, rows: Sequence[str], columns: Sequence[str], cells: Cells, most: float
) -> str:
    factors = effects.space.by_name
    head = "".join(
        f'<th class="n" scope="col">{escape(factors[name].title)}</th>' for name in columns
    )
    body = "".join(
        f'<tr><th scope="row">{escape(factors[row].title)}</th>'
        + "".join(_cell(cells.get((row, column)), most) for column in columns)
        + "</tr>"
        for row in rows
    )
    return (
        '<table class="heat"><thead><tr><th scope="col"></th>'
        f"{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _pairs(found: Sequence[Interaction], most: float) -> str:
    """Return the table of pairs of changes, strongest interaction first."""
    body = "".join(
        f'<tr><th scope="row">{escape(one.first.title)} with {escape(one.second.title)}</th>'
        f"{_cell(one, most)}</tr>"
        for one in found
    )
    return (
        '<table class="heat below"><thead><tr><th scope="col">Pairs</th>'
        f'<th class="n" scope="col">Points</th></tr></thead><tbody>{body}</tbody></table>'
    )


def _cell(found: Interaction | None, most: float) -> str:
    if found is None:
        return '<td class="n"></td>'
    effect = found.effect
    color = BLUE if effect.points > 0 else ORANGE
    share = round(MOST_COLOR * abs(effect.points) / most)
    words = signed(effect.points, 1)
    if effect.p < ALPHA:
        words = f"<b>{words}</b>"
    return (
        f'<td class="n" style="background:color-mix(in srgb, {color} {share}%, transparent)" '
        f'title="{escape(text.with_interval(effect))}">{words}</td>'
    )


def _csv(effects: Effects) -> str:
    import pandas as pd

    table = plain_cells(pd.DataFrame(interaction_rows(effects)))
    return table.to_csv(index=False, float_format="%.10g")
