"""Learning curves on the Ablations page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from roadmap.analysis.table import curve_table
from roadmap.charts.curves import MEASURES, MOST_STEPS, STYLES, curves_chart, mean_curves
from roadmap.runs import StepRun
from roadmap.steps import ROADMAPS
from roadmap.tables.results import ResultsError
from roadmap.text import number
from roadmap.views.common import all_runs, figure, markup
from roadmap.views.common.controls import choice, titled

if TYPE_CHECKING:
    from pandas import DataFrame

LINES = {"mean": "Mean and band", "seeds": "By seed"}
DASHES = {"solid": "", "dash": " dash", "dot": " dot"}
#: Most seeds drawn per step; more lines cannot be told apart.
MOST_SEEDS = 10
EVERY = 5  # seconds between updates of running runs


def show(folder: str, roadmap: str, runs: tuple[StepRun, ...]) -> None:
    """Show the section; it updates itself while one of ``runs`` is training."""
    if not any(run.epochs for run in runs):
        return
    st.html(
        markup.heading("Learning curves", 2, "section")
        + markup.paragraph("Hover over the chart to compare the steps at one epoch.", "faint")
    )
    grows = any(run.status == "running" for run in runs)
    st.fragment(_section, run_every=EVERY if grows else None)(folder, roadmap)


def _section(folder: str, roadmap: str) -> None:
    runs = all_runs.of(all_runs.read().runs, folder, roadmap)
    begun = [run for run in runs if run.epochs]
    if not begun:
        return
    data = all_runs.analyzed(begun)
    begun = [run for run in begun if run.data == data]
    with st.container(horizontal=True, gap="medium", key="ablations-curve-controls"):
        titles = {key: measure.name for key, measure in MEASURES.items()}
        measure = choice("ablations", "curve", "Measure", titles, wrap=True)
        lines = choice("ablations", "lines", "Lines", LINES, wrap=True)
    steps = _steps(roadmap, begun)
    if not steps:
        st.html(markup.notice("Choose a step to see its learning curves."))
        return
    try:
        shown = [run for run in begun if run.step in steps]
        table = curve_table(ROADMAPS[roadmap], shown, measure)
    except ResultsError as error:
        st.html(markup.notice(f"These curves cannot be drawn: {error}"))
        return
    if table.empty:
        st.html(markup.notice("None of these steps' runs recorded this measure."))
        return
    by_seed = lines == "seeds"
    drawn = table[table["place"] < MOST_SEEDS] if by_seed else table
    chart = curves_chart(drawn, measure, by_seed=by_seed)
    figure.show(chart, _exported(drawn, by_seed), "curves", _alt(table, measure))
    st.html(_legend(table, by_seed))


def _steps(roadmap: str, runs: list[StepRun]) -> list[str]:
    trained = list(dict.fromkeys(run.step for run in runs))
    key, own = f"ablations-steps-{roadmap}", f"ablations-own-steps-{roadmap}"
    if own not in st.session_state:  # until the reader chooses, newly started steps are added
        st.session_state[key] = _first_choice(trained)
    st.session_state[key] = [step for step in st.session_state.get(key, ()) if step in trained]
    titles = {step.key: step.title for step in ROADMAPS[roadmap].steps}
    st.multiselect(
        f"Steps, up to {MOST_STEPS}",
        trained,
        format_func=titled(titles),
        key=key,
        max_selections=MOST_STEPS,
        on_change=lambda: st.session_state.update({own: True}),
    )
    return [step for step in trained if step in st.session_state[key]]


def _first_choice(trained: list[str]) -> list[str]:
    """Return the first step, the last and one in between."""
    return list(dict.fromkeys((trained[0], trained[len(trained) // 2], trained[-1])))


def _legend(table: DataFrame, by_seed: bool) -> str:
    groups = [rows for _, rows in table.groupby("key", sort=False)]
    items = "".join(
        f'<span><i class="line{DASHES[dash]}" style="border-color:{color}"></i>'
        f"{escape(rows['title'].iloc[0])}, {_seeds(rows)}</span>"
        for rows, (color, dash) in zip(groups, STYLES, strict=False)
    )
    several = not by_seed and table["place"].max() > 0
    said = "The band spans the lowest to the highest seed. " if several else ""
    if by_seed and table["place"].max() >= MOST_SEEDS:
        said = f"Only the first {MOST_SEEDS} seeds of each step are drawn. "
    said += "Validation uses averaged weights in steps that average them."
    return f'<p class="faint legend">{items}</p>' + markup.paragraph(said, "faint below")


def _seeds(rows: DataFrame) -> str:
    count = rows["seed"].nunique()
    return f"{count} seed{'' if count == 1 else 's'}"


def _exported(table: DataFrame, by_seed: bool) -> DataFrame:
    """Return the rows behind the chart, for its CSV file."""
    if by_seed:
        return table.drop(columns=["group", "place"])
    return mean_curves(table).drop(columns="group").rename(columns={"value": "mean"})


def _alt(table: DataFrame, measure: str) -> str:
    last = table.sort_values("epoch").groupby(["key", "seed"], sort=False).last().reset_index()
    means = last.groupby("title", sort=False)["value"].mean()
    decimals = 2 if measure == "top1" else 4
    ends = "; ".join(f"{title} {number(value, decimals)}" for title, value in means.items())
    return f"Line chart of {MEASURES[measure].axis} by epoch. Mean at the last epoch: {ends}."
