"""The measured networks nearest to the one that is built, as a table."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from models.config import ModelConfig
from roadmap.html_table import Cell, html_table, numbers, row_head, wide
from roadmap.runs import Run
from roadmap.study.nearest import Measured, Near, nearest, of_runs, published
from roadmap.tables.results import ResultsError
from roadmap.text import counted, data_title, number, scientific
from roadmap.views.common import all_runs, markup
from roadmap.views.common.fields import CONTROLS

#: Differences listed in a row; more are only counted.
MOST_LISTED = 4
NOTE = (
    "At most two networks per data set: those with the fewest fields that differ, then the most "
    "similar GFLOPs; classes and stochastic depth are not compared. Top-1 is the mean over seeds ± "
    "their standard deviation, with the best recipe measured there. Scores on different data sets, "
    "or after different training, cannot be compared."
)


def show(config: ModelConfig) -> None:
    """Show the table, or why it cannot be read."""
    try:
        measured = (*_published(), *_of_runs(all_runs.read().every))
    except ResultsError as error:
        st.html(markup.notice(f"The nearest measured networks cannot be shown: {error}"))
        return
    # Top-1 is second, so that a phone shows it beside the network.
    head: list[Cell | str] = ["Network", *numbers(["Top-1, %"]), "Differs by", "Data and recipe"]
    table = html_table(head, map(_row, nearest(config, measured)), "nearest")
    st.html(
        markup.heading("Nearest measured networks", 3, "subsection")
        + wide(table, "Nearest measured networks")
        + markup.paragraph(NOTE, "faint below")
    )


@lru_cache(maxsize=1)
def _published() -> tuple[Measured, ...]:
    return tuple(published())


@lru_cache(maxsize=2)
def _of_runs(runs: tuple[Run, ...]) -> tuple[Measured, ...]:
    return tuple(of_runs(runs))


def _row(near: Near) -> list[Cell | str]:
    best = near.best
    spread = "" if best.std is None else f" ±{number(best.std, 1)}"
    seeds = f"<br><small>({counted(best.seeds, 'seed')})</small>" if best.seeds else ""
    return [
        row_head(best.network or "A combination"),
        Cell(f"{number(best.top1, 1)}{spread}", "n now", after=seeds),
        differences_in_words(near),
        recipe_in_words(near),
    ]


def differences_in_words(near: Near) -> str:
    """Say what the measured network has instead: ``kernel size 7 (here 9)``."""
    said = [
        f"{CONTROLS[field].phrase(there)} (here {CONTROLS[field].inside(here)})"
        for field, (here, there) in near.differs.items()
    ]
    more = len(said) - MOST_LISTED
    if more > 0:
        said = [*said[:MOST_LISTED], f"{more} more"]
    return ", ".join(said) or "nothing: the same network"


def recipe_in_words(near: Near) -> str:
    """Name the data and the recipe: ``Digits: 20 epochs, rate 0.003, 32 pixels``."""
    best = near.best
    of = f"; best of {near.recipes} recipes" if near.recipes > 1 else ""
    trained = f"{counted(best.epochs, 'epoch')}, rate {scientific(best.lr)}, {best.size} pixels"
    return f"{data_title(best.data)}: {trained}{of}"
