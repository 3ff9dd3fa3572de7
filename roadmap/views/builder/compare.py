"""A config compared with its starting point, or A with B, row by row."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import streamlit as st

from models.config import FIELDS
from roadmap.text import number
from roadmap.views.builder import drawing, naming, predict, timing
from roadmap.views.builder.state import go
from roadmap.views.builder.tables import costs, digits
from roadmap.views.common import markup
from roadmap.views.common.builder_address import Builder, Chosen
from roadmap.views.common.fields import CONTROLS


def show(builder: Builder, drawn: str) -> None:
    """Show A's changes, or all fields of A and B if there is a B, and both drawings.

    ``drawn`` is the open part.
    """
    if builder.b is None:
        _changes(builder, drawn)
    else:
        _comparison(builder, builder.b, drawn)


def _changes(builder: Builder, drawn: str) -> None:
    chosen = builder.a
    name = chosen.start.title
    st.html(markup.heading("Changes", 2, "section"))
    if not chosen.changes:
        st.html(markup.paragraph(f"No changes yet: this is {name}.", "why"))
        return
    rows = [
        (CONTROLS[field].title, CONTROLS[field].said(before), CONTROLS[field].said(after))
        for field, (before, after) in chosen.changes.items()
    ]
    st.html(markup.recipe_table(("Field", f"Start: {name}", "A"), rows))
    drawing.show(builder, drawn)


def _comparison(builder: Builder, b: Chosen, drawn: str) -> None:
    st.html(markup.heading("A and B compared", 2, "section"))
    with suppress(ValueError):  # the image is too small; the table says so
        measured = timing.words(builder, b)
        said = naming.difference(builder.a.config, b.config, builder.image_size, *measured)
        st.html(markup.paragraph(said, "text"))
    if builder.a.config != b.config:
        timing.show(builder, b)
    drawing.show(builder, drawn)
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        only = st.toggle("Only rows that differ", value=True, key="only-differences")
        st.button("Remove B", on_click=_remove_b, args=(builder,))
    rows: list[tuple[str, ...]] = [("Starting point", builder.a.start.title, b.start.title)]
    for field in FIELDS:
        values = (getattr(chosen.config, field) for chosen in (builder.a, b))
        rows.append((CONTROLS[field].title, *map(CONTROLS[field].said, values)))
    rows += predict.rows(builder.a.config, b.config)
    rows += _cost_rows(builder, b)
    if only:
        rows = [row for row in rows if row[1] != row[2]]
    if rows:
        st.html(markup.comparison_table(("", "A", "B"), rows))
    else:
        st.html(markup.paragraph("A and B are the same network.", "why"))


def _cost_rows(builder: Builder, b: Chosen) -> list[tuple[str, ...]]:
    try:
        pairs = list(
            zip(
                costs(builder.a.config, builder.image_size),
                costs(b.config, builder.image_size),
                strict=True,
            )
        )
    except ValueError as error:  # the image is too small for the other network
        return [("Costs", *(_too_small(chosen, builder, error) for chosen in (builder.a, b)))]
    rows: list[tuple[str, ...]] = []
    for left, right in pairs:
        decimals = digits(left, left.value, right.value)
        values = (number(cost.value, decimals) for cost in (left, right))
        rows.append((f"{left.name}, {left.unit}", *values))
    return rows


def _too_small(chosen: Chosen, builder: Builder, error: ValueError) -> str:
    return "counted above" if chosen == builder.current else str(error)


def _remove_b(builder: Builder) -> None:
    go(replace(builder, b=None, edited="a"))
