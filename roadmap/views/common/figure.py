"""A chart on a page, with download buttons under it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from roadmap.files import plain_cell
from roadmap.views.common import markup

if TYPE_CHECKING:
    from collections.abc import Callable

    from pandas import DataFrame
    from plotly.graph_objects import Figure

#: Plotly's button to save an image is in the bar that the style sheet hides (``script.html``).
CONFIG = {"displaylogo": False, "displayModeBar": True, "modeBarButtons": [["toImage"]]}


def plain_cells(table: DataFrame) -> DataFrame:
    """Return ``table`` with ``plain_cell`` applied to every text, for a CSV."""
    table = table.copy()
    for name in table.select_dtypes(exclude=("number", "bool")):
        table[name] = table[name].map(plain_cell)
    return table


def csv_button(table: DataFrame, name: str) -> None:
    """Show a button that saves ``table`` as ``name.csv``."""
    st.download_button(
        "CSV",
        plain_cells(table).to_csv(index=False, float_format="%.10g"),
        f"{name}.csv",
        "text/csv",
        key=f"csv-{name}",
        on_click="ignore",
        type="tertiary",
    )


def show(
    figure: Figure, table: DataFrame, name: str, alt: str, *, key: str | None = None, **options: Any
) -> None:
    """Show ``figure`` with downloads as PNG, SVG and (``table``) CSV, named ``name``.

    ``alt`` is its text alternative, including the values. ``name`` is a file name without its
    extension, unique on the page. ``key`` and ``options`` go to ``st.plotly_chart``.
    """
    with st.container(key=f"figure-{name}", gap="small"):
        st.plotly_chart(figure, key=key or f"chart-{name}", config=CONFIG, alt=alt, **options)
        with st.container(horizontal=True, gap="small", key=f"downloads-{name}"):
            st.html(markup.image_downloads(name), width="content")
            csv_button(table, name)


def clickable(
    figure: Figure, table: DataFrame, name: str, alt: str, chosen: Callable[[str], None]
) -> None:
    """``show`` a figure; a click calls ``chosen`` with the ``customdata`` of the point.

    After a click it is drawn as a new chart, in which the same point can be clicked again.
    """
    key = f"chart-{name}-{st.session_state.get('clicks', 0)}"

    def clicked() -> None:
        st.session_state["clicks"] = st.session_state.get("clicks", 0) + 1
        points = [p for p in st.session_state[key]["selection"]["points"] if "customdata" in p]
        if points:
            # Plotly.js passes a point's customdata as a value or as a list of one.
            value: Any = points[0]["customdata"]
            chosen(str(value[0] if isinstance(value, list | tuple) else value))

    show(figure, table, name, alt, key=key, on_select=clicked, selection_mode="points")
