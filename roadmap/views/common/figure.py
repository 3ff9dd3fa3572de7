"""A chart on a page, with download buttons under it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from roadmap.files import plain_cell
from roadmap.views.common import markup

if TYPE_CHECKING:
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
