"""The trained roadmap: each step's gain, its uncertainty, and the runs behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from roadmap import visitors
from roadmap.analysis.table import ablation_table, rows
from roadmap.charts import ablation as charts
from roadmap.report import text
from roadmap.report.figures_table import Figures, legend, verdicts_table
from roadmap.steps import ROADMAPS
from roadmap.tables.results import ResultsError
from roadmap.text import number
from roadmap.views.ablations import curves as ablations_curves
from roadmap.views.ablations import data as ablations_data
from roadmap.views.ablations import table as ablations_table
from roadmap.views.ablations import work as ablations_work
from roadmap.views.common import address, figure, markup
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
    st.html(
        markup.heading("Ablations", 1, "title")
        + markup.paragraph(
            "The roadmap, trained here: how much each step changes top-1, and whether the "
            "change could be chance.",
            "lead",
        )
    )
    found = ablations_data.read()
    ablations_work.note_shown(found)
    if found.runs:
        folder, roadmap = _choices(found.runs)
        runs = ablations_data.of(found.runs, folder, roadmap)
        _analysis(runs, found, roadmap)
        ablations_curves.show(folder, roadmap, runs)
    else:
        roadmap = _nothing()
    ablations_work.show(roadmap)
    if found.runs:
        ablations_table.show()
    ablations_table.show_unreadable(ablations_work.broken(found))


def _nothing() -> str:
    """Show how to start training when there are no runs, and choose the roadmap."""
    where = "on the command line." if visitors.is_public() else "below, or on the command line."
    st.html(
        f'<div class="nothing">{markup.paragraph(NOTHING + where, "text")}'
        f'<pre class="command">{escape(COMMANDS)}</pre></div>'
    )
    roadmap, problem = address.option(st.query_params, "roadmap", tuple(ROADMAPS))
    if problem:
        st.html(markup.notice(problem))
    titles = {name: ROADMAPS[name].title for name in ROADMAPS}
    select("ablations", "roadmap", "Roadmap", titles, roadmap, width=300)
    return roadmap


def _choices(runs: tuple[StepRun, ...]) -> tuple[str, str]:
    """Return the data set's folder and the roadmap, from the URL and the controls."""
    folders = ablations_data.folders(runs)
    folder, problem = address.option(st.query_params, "data", folders)
    known = ablations_data.roadmaps([run for run in runs if run.path.parent.name == folder])
    roadmap, other = address.option(st.query_params, "roadmap", known)
    if problem or other:
        st.html(markup.notice(" ".join(filter(None, (problem, other)))))
    titles = {name: ROADMAPS[name].title for name in known}
    with st.container(horizontal=True, gap="medium", key="ablations-controls"):
        select("ablations", "data", "Data", {name: name for name in folders}, folder, width=300)
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
        ablation = ablations_data.ablation(runs)
    except ResultsError as error:
        st.html(markup.notice(f"These runs cannot be analyzed: {error}"))
        return
    notes = text.notes(ablation, found._replace(runs=runs))
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    st.html(
        markup.paragraph(text.finding(ablation), "lead finding")
        + (f'<ul class="points faint">{listed}</ul>' if notes else "")
    )
    figures, table = rows(ablation), ablation_table(ablation)
    _accuracies(ablation, figures, table)
    _changes(ablation, figures, table)


def _accuracies(ablation: Ablation, figures: Sequence[Figures], table: DataFrame) -> None:
    st.html(markup.heading("Accuracy here and as published", 2, "section"))
    alt = "; ".join(
        f"{row['title']} {number(row['top1'], 2)}%{_between(row)}, published "
        f"{number(row['paper_top1'], 2)}%"
        for row in figures
    )
    figure.show(
        # Plotly reads tags, and the name of the data is from a file.
        charts.trained_bars(table.assign(data=escape(ablation.data))),
        table.drop(columns="key"),
        "trained",
        f"Bar chart of mean top-1 accuracy here and as published: {alt}.",
    )
    moved = "The upper axis is shifted so that both means agree; compare the shapes. "
    moved = moved if table["paper_top1"].notna().any() else ""
    hatched = "" if table["adopted"].all() else '<span><i class="hatch"></i>not adopted</span>'
    whisker = (
        '<span><i class="whisker"></i>95% interval of the mean over seeds, within 0 to 100%</span>'
    )
    st.html(
        f'<p class="faint legend">{whisker if table["top1_low"].notna().any() else ""}'
        '<span><i class="tick"></i>published (upper axis)</span>'
        f"{hatched}</p>" + markup.paragraph(moved + text.agreement(ablation), "faint below")
    )


def _between(row: Figures) -> str:
    if row["top1_low"] is None:
        return ""
    return f" ({number(row['top1_low'], 2)} to {number(row['top1_high'], 2)})"


def _changes(ablation: Ablation, figures: Sequence[Figures], table: DataFrame) -> None:
    st.html(
        markup.heading("Effect of each change", 2, "section")
        + markup.paragraph(text.changes(ablation), "faint")
    )
    if table["change"].isna().all():
        st.html(markup.notice("No two consecutive steps have been trained."))
    else:
        figure.show(
            charts.change_intervals(table),
            table[table["change"].notna()].drop(columns="key"),
            "changes",
            f"Chart of changes in top-1, in points, with 95% intervals: {text.listed(figures)}.",
        )
        st.html(_signs(figures))
    said = "".join(markup.paragraph(sentence, "text narrow") for sentence in text.tests(ablation))
    st.html(said + verdicts_table(figures))
    with st.expander("How the tests work"):
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in text.METHOD)
        st.html(f'<ol class="points">{items}</ol>')


def _signs(rows: Iterable[Figures]) -> str:
    items = "".join(
        f'<span><i class="sign {kind}"></i>{escape(name)}</span>' for kind, name in legend(rows)
    )
    return f'<p class="faint legend">{items}</p>'
