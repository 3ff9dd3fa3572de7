"""The trained roadmap: each step's gain, its uncertainty, and the runs behind it.

The verdicts are drawn as in the report: the chart by ``charts.ablation``, sentences by
``report.text``, the table by ``report.figures_table``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from roadmap import visitors
from roadmap.analysis.table import rows, rows_table
from roadmap.charts import ablation as charts
from roadmap.report import text
from roadmap.report.figures_table import Figures, legend, verdicts_table
from roadmap.steps import ROADMAPS
from roadmap.tables.results import ResultsError
from roadmap.text import data_title
from roadmap.views.ablations import curves as ablations_curves
from roadmap.views.ablations import table as ablations_table
from roadmap.views.common import address, all_runs, figure, markup, small_data
from roadmap.views.common.controls import select

if TYPE_CHECKING:
    from pandas import DataFrame

    from roadmap.analysis.ablation import Ablation
    from roadmap.runs import Runs, StepRun

NOTHING = (
    "No runs yet. A pocket run trains a small version of one step on scikit-learn's handwritten "
    "digits; it takes about a minute on a CPU. A pocket sweep does the same for every step with "
    "several seeds, so that each change can be tested. Start one "
)
COMMANDS = """python -m roadmap train --step kernel_7 --scale pocket
python -m roadmap sweep --seeds 0 1 2 --scale pocket
python -m roadmap sweep --seeds 0 1 2 --data /data/imagenet --epochs 90"""


def show() -> None:
    st.html(markup.heading("Ablations", 1, "title"))
    found = all_runs.read()
    if found.runs:
        folder, roadmap = _choices(found.runs)
        runs = all_runs.of(found.runs, folder, roadmap)
        _analysis(runs, found, roadmap)
        ablations_curves.show(folder, roadmap, runs)
        with st.expander("All runs" if len(found.runs) == 1 else f"All {len(found.runs):,} runs"):
            ablations_table.show()
    else:
        _nothing()
    ablations_table.show_unreadable(all_runs.broken(found))


def _nothing() -> None:
    """Show how to start training when there are no runs."""
    where = "on the command line."
    if not visitors.is_public():
        where = f"on the page Training, or {where}"
    st.html(markup.nothing(NOTHING + where, COMMANDS))


def _choices(runs: tuple[StepRun, ...]) -> tuple[str, str]:
    """Return the data set's folder and the roadmap, from the URL and the controls."""
    folders = all_runs.folders(runs)
    folder, problem = address.option(st.query_params, "data", folders)
    known = all_runs.roadmaps([run for run in runs if run.path.parent.name == folder])
    roadmap, other = address.option(st.query_params, "roadmap", known)
    if problem or other:
        st.html(markup.notice(" ".join(filter(None, (problem, other)))))
    titles = {name: ROADMAPS[name].title for name in known}
    with st.container(horizontal=True, gap="medium", key="ablations-controls"):
        select(
            "ablations",
            "data",
            "Data",
            {name: data_title(name) for name in folders},
            folder,
            width=300,
        )
        select("ablations", "roadmap", "Roadmap", titles, roadmap, width=300)
    return folder, roadmap


# Results of the finished runs


def _analysis(runs: tuple[StepRun, ...], found: Runs, roadmap: str) -> None:
    if not any(run.finished for run in runs):
        st.html(
            markup.notice(f"No run of {ROADMAPS[roadmap].title} on this data has finished yet.")
        )
        return
    try:
        ablation = all_runs.ablation(runs)
    except ResultsError as error:
        st.html(markup.notice(f"These runs cannot be analyzed: {error}"))
        return
    figures = rows(ablation)
    table = rows_table(figures)
    st.html(markup.paragraph(text.verdicts(ablation), "lead finding"))
    images = ablation.runs[0].train_images
    if ablation.roadmap.changes_networks and (
        caution := small_data.caution(ablation.data, images, roadmap)
    ):
        st.html(caution)
    _changes(figures, table)
    _details(ablation, figures, text.notes(ablation, found._replace(runs=runs)))


def _changes(figures: Sequence[Figures], table: DataFrame) -> None:
    """Show what each change brought."""
    if table["change"].isna().all():
        st.html(markup.notice("No two consecutive steps have been trained."))
        return
    figure.show(
        charts.change_intervals(table, p_values=False),
        table[table["change"].notna()].drop(columns="key"),
        "changes",
        f"Chart of changes in top-1, in points, with 95% intervals: {text.listed(figures)}.",
    )
    st.html(_signs(figures))


def _details(ablation: Ablation, figures: Sequence[Figures], notes: Sequence[str]) -> None:
    """Show, folded, the figures of every step, what they leave out and how they were tested."""
    with st.expander("Figures of every step"):
        sentences = (text.overall(ablation), text.agreement(ablation), *notes)
        listed = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
        st.html(f'<ul class="points faint">{listed}</ul>' + verdicts_table(figures))
    with st.expander("How the tests work"):
        said = (text.changes(ablation), *text.tests(ablation))
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in text.METHOD)
        st.html(
            "".join(markup.paragraph(sentence, "text narrow") for sentence in said)
            + f'<ol class="points">{items}</ol>'
        )


def _signs(rows: Iterable[Figures]) -> str:
    items = "".join(
        f'<span><i class="sign {kind}"></i>{escape(name)}</span>' for kind, name in legend(rows)
    )
    return f'<p class="faint legend">{items}</p>'
