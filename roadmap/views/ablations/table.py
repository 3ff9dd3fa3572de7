"""The table of all runs on the Ablations page: filter, sort, export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from models.text import shortened
from roadmap.runs import STATUSES, StepRun, Unreadable
from roadmap.steps import ROADMAPS
from roadmap.text import ABSENT, data_title
from roadmap.views.common import all_runs, markup, turns
from roadmap.views.common.figure import plain_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame

ROW = 35  # pixels
#: At most this many unreadable folders are listed.
MOST_LISTED = 50


def show() -> None:
    _filtered()


@turns.fragment
def _filtered() -> None:
    """Show the table, re-reading the runs so that a filter also sees new ones."""
    import pandas as pd

    found = all_runs.read()
    table = pd.DataFrame([_row(run) for run in found.runs], columns=list(COLUMNS))
    shown = plain_cells(_filters(table))  # Streamlit's table has its own CSV export
    words = "run" if len(table) == 1 else "runs"
    st.html(
        markup.paragraph(
            f"{len(shown)} of {len(table)} {words}. Click a column name to sort. Top-1, of the raw "
            "and of the averaged weights, is on the validation images after the last epoch.",
            "faint",
        )
    )
    st.dataframe(
        shown,
        column_config=_config(),
        hide_index=True,
        height=min(460, ROW * (max(len(shown), 1) + 1) + 3),
        placeholder=ABSENT,
        key="ablations-runs",
        alt="Table of all runs with their scores.",
    )
    with st.container(key="downloads-runs"):
        st.download_button(
            "CSV",
            shown.to_csv(index=False),
            "runs.csv",
            "text/csv",
            key="ablations-csv",
            on_click="ignore",
            type="tertiary",
        )


#: Column titles.
COLUMNS = {
    "run": "Folder",
    "data": "Data",
    "roadmap": "Roadmap",
    "step": "Step",
    "seed": "Seed",
    "status": "Status",
    "epochs": "Epochs",
    "of": "of",
    "top1": "Top-1 %",
    "ema_top1": "Top-1 of average %",
    "seconds": "Training, s",
    "scale": "Scale",
    "device": "Device",
    "date": "Date",
    "reason": "Why it stopped",
}


def _row(run: StepRun) -> tuple[object, ...]:
    return (
        run.path.name,
        data_title(run.path.parent.name),
        ROADMAPS[run.roadmap].title,
        ROADMAPS[run.roadmap].step(run.step).title,
        run.seed,
        run.status,
        run.epochs,
        run.recipe["epochs"],
        run.scores.get("top1"),
        run.scores.get("ema_top1"),
        run.seconds,
        run.scale,
        run.device,
        run.date,
        run.reason and shortened(run.reason),
    )


def _config() -> dict[str, Any]:
    columns = st.column_config
    numbers = {"top1": "%.2f", "ema_top1": "%.2f", "seconds": "%.0f"}
    config: dict[str, Any] = {
        key: columns.NumberColumn(title, format=numbers[key])
        if key in numbers
        else columns.Column(title)
        for key, title in COLUMNS.items()
    }
    return config | {"run": columns.TextColumn(COLUMNS["run"], pinned=True)}


def _filters(table: DataFrame) -> DataFrame:
    """Return the rows that match the chosen values; a filter without values keeps all."""
    order = [step.title for roadmap in ROADMAPS.values() for step in roadmap.steps]
    options = {
        "status": [status for status in STATUSES if status in set(table["status"])],
        "step": sorted(set(table["step"]), key=order.index),
        "data": list(dict.fromkeys(table["data"])),
    }
    with st.container(horizontal=True, gap="medium", key="ablations-filters"):
        for column, values in options.items():
            key = f"ablations-filter-{column}"
            kept = [value for value in st.session_state.get(key, []) if value in values]
            st.session_state[key] = kept
            st.multiselect(
                COLUMNS[column], values, key=key, placeholder="All", width=300, format_func=str
            )
            if kept:
                table = table[table[column].isin(kept)]
    return table


def show_unreadable(found: Sequence[Unreadable]) -> None:
    """List the folders without a complete run, and why."""
    if not found:
        return
    rows = [
        (f"{folder.path.parent.name}/{folder.path.name}", folder.why)
        for folder in found[:MOST_LISTED]
    ]
    words = "folder" if len(found) == 1 else "folders"
    more = len(found) - len(rows)
    st.html(
        markup.heading("Folders that cannot be read", 2, "section")
        + markup.paragraph(f"{len(found)} {words} left out of all results above.", "faint")
        + markup.recipe_table(("Folder", "Why"), rows)
        + (markup.paragraph(f"And {more} more.", "faint") if more else "")
    )
