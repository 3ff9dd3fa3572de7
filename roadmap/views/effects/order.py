"""A custom order: the changes in any order, and the resulting path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from models.text import ended
from roadmap.charts import effects as charts
from roadmap.study.rows import path_rows
from roadmap.study.space import StudyError
from roadmap.text import number
from roadmap.views.common import figure, markup

if TYPE_CHECKING:
    from roadmap.study.effects import Effects

PARAMETER = "order"
YOURS, PAPER = "Your order", "The paper's order"
LONGEST = 600  # characters of the parameter


def show(effects: Effects) -> None:
    usual = [change.name for change in effects.changes]
    order, problem = _order(usual)
    st.html(
        markup.paragraph(
            "Move a change up or down to update the chart. The order is part of this page's URL, "
            "so you can share it.",
            "faint",
        )
    )
    if problem:
        st.html(markup.notice(problem))
    left, right = st.columns([1, 1.8], gap="large")
    with left:
        _buttons(effects, order, usual)
    with right:
        _path(effects, order, usual)


def _order(usual: Sequence[str]) -> tuple[list[str], str]:
    """Return the order in the URL, and a sentence if it is not valid."""
    given = st.query_params.get(PARAMETER)
    if not given:
        return list(usual), ""
    names = given.split(",") if len(given) <= LONGEST else []
    if sorted(names) == sorted(usual):
        return names, ""
    return list(usual), (
        "The order in the URL does not name each of these changes once. Showing the paper's order."
    )


def _buttons(effects: Effects, order: list[str], usual: Sequence[str]) -> None:
    titles = {change.name: change.title for change in effects.changes}
    for place, name in enumerate(order):
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small", key=f"order-{place}"
        ):
            st.html(
                f'<span class="order"><b>{place + 1}</b> {titles[name]}</span>', width="stretch"
            )
            for word, step in (("Up", -1), ("Down", 1)):
                st.button(
                    word,
                    key=f"order-{word.lower()}-{place}",
                    disabled=not 0 <= place + step < len(order),
                    type="tertiary",
                    on_click=_move,
                    args=(order, place, step),
                )
    st.button(
        "Reset to the paper's order",
        key="order-reset",
        disabled=list(order) == list(usual),
        on_click=_set,
        args=(usual,),
    )


def _move(order: list[str], place: int, step: int) -> None:
    moved = list(order)
    moved[place], moved[place + step] = moved[place + step], moved[place]
    _set(moved)


def _set(order: Sequence[str]) -> None:
    st.query_params[PARAMETER] = ",".join(order)


def _path(effects: Effects, order: list[str], usual: list[str]) -> None:
    import pandas as pd

    paper = path_rows(effects, usual, PAPER)
    rows, refused = [], ""
    if order != usual:
        try:
            rows = path_rows(effects, order, YOURS)
        except StudyError as error:
            refused = f"{ended(error)} Move the changes that it needs before it."
    if refused:
        st.html(markup.notice(refused))
    shown = [*rows, *paper]
    table = pd.DataFrame(shown)
    alt = "; ".join(
        f"{row['title']} {number(row['top1'], 1)}% at {number(row['gflops'], 1)} GFLOPs"
        for row in (rows or paper)
    )
    figure.show(
        charts.order_path(table), table, "order", f"Predicted top-1 after each change: {alt}."
    )
    st.html(_table(rows or paper))


def _table(rows: Sequence[dict[str, Any]]) -> str:
    body = [
        (
            f"{row['number']}. {row['title']}" if row["number"] else row["title"],
            "",
            (
                f"{number(row['top1'], 1)} ({number(row['low'], 1)} to {number(row['high'], 1)})",
                number(row["gflops"], 2),
                number(row["parameters"], 1),
            ),
        )
        for row in rows
    ]
    return markup.fields_table(("Change", "", "Top-1, %", "GFLOPs", "Parameters, M"), body)
