"""The first page: an interactive version of the paper's Figure 2. Imports no torch."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from models.config import ModelConfig
from models.spec import BIASED
from roadmap import charts
from roadmap.analysis.audit import SWIN, rounds_to
from roadmap.definition import Roadmap
from roadmap.drawing import diagrams
from roadmap.steps import ROADMAPS
from roadmap.tables.results import TimedOn
from roadmap.text import ABSENT, change, number, telling
from roadmap.views.common import address, markup, step_control, tables, turns
from roadmap.views.common.address import Selection, current
from roadmap.views.common.bounds import known
from roadmap.views.common.controls import segments
from roadmap.views.common.recipe_text import recipe_changes
from roadmap.views.lecture import view as lecture
from roadmap.views.roadmap import charts as roadmap_charts
from roadmap.views.roadmap.charts import MEASURED, METRIC_NAMES, VIEWS, Chart

if TYPE_CHECKING:
    from pandas import DataFrame

#: A step's figures: column, name, unit, decimals.
FIGURES = (
    ("top1", "ImageNet-1K top-1", "%", 2),
    ("gflops", "GFLOPs", "per image", 2),
    ("params", "Parameters", "M", 1),
    ("activations", "Activations", "M", 1),
    ("receptive_field", "Receptive field", "pixels", 0),
    ("images_per_s", "Speed", "images/s", 0),
    ("memory", "Peak memory", "GB", 2),
)
#: Counted figures, which have no measurement error.
COUNTED = ("gflops", "params", "activations")
#: Number formats of the sortable table, by decimals.
FORMATS = {0: "localized", 1: "%.1f", 2: "%.2f"}
#: The key of a drawing that has only blocks per stage.
STAGES_KEY = (("", "Blue: new blocks."), ("", "Dashed: removed blocks."))
PAUSE = 0.5  # seconds
DRAWN = {"bars": roadmap_charts.bars, "path": roadmap_charts.path, "both": roadmap_charts.both}


@turns.fragment
def show() -> None:
    """Show the whole page, in one fragment."""
    chosen = current()
    presenting, invalid = lecture.opened()
    if presenting:
        lecture.show(chosen)
        return
    view, problem = address.option(st.query_params, "view", tuple(VIEWS))
    notice = st.empty()  # always present, so that what follows does not move
    roadmap = ROADMAPS[chosen.roadmap]
    _headline(roadmap)
    with st.container(key="step-bar"):
        step_control.step_control(roadmap, chosen.step)
    view, metric, unknown = _controls(chosen, view)
    problems = [text for text in (*chosen.problems, problem, unknown, invalid) if text]
    if problems:
        notice.html(markup.notice(" ".join(problems)))
    setting = _setting(tuple(SWIN) if view == "both" else (chosen.roadmap,), metric)
    shown = Chart(chosen.roadmap, chosen.step, metric, setting)
    if view == "both":
        chart, panel = st.container(), st.container()
    else:
        chart, panel = (column.container() for column in st.columns([1, 1.35], gap="medium"))
    opening = _opening()
    if opening:
        with chart:
            DRAWN[view](shown)
        time.sleep(PAUSE)
    from roadmap.views.roadmap import panel as step_panel  # SciPy may load after the first chart

    with panel:
        st.html(step_panel.hypothesis(roadmap, chosen.step))
        _changes(roadmap, chosen.step)
    if not opening:  # after the panel, which shows the response to a click
        with chart:
            DRAWN[view](shown)
    st.html(step_panel.rows(roadmap, chosen.step))
    _more(shown, view)
    address.complete(chosen)


def _opening() -> bool:
    """Whether this is the session's first run, in which the browser still has to load Plotly.

    That takes most of the start-up time. A pause between the chart and the rest of the page keeps
    the browser from laying out the rest first, which would delay the chart.
    """
    opening = "opened" not in st.session_state
    st.session_state["opened"] = True
    return opening


# What the reader chooses


def _controls(chosen: Selection, view: str) -> tuple[str, charts.Metric, str]:
    """Return the chosen view and metric; a recipe roadmap only has bars.

    The third value is a sentence about an unknown metric in the URL, or an empty string.
    """
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        step_control.roadmap_control(chosen)
        if chosen.roadmap in SWIN:
            segments("roadmap", "view", "View", VIEWS, view, wrap=True)
        else:
            view = "bars"
        metric, problem = address.option(st.query_params, "metric", tuple(METRIC_NAMES))
        names = {key: METRIC_NAMES[key] for key in METRIC_NAMES if key != "top1" or view != "path"}
        metric = metric if metric in names else next(iter(names))
        title = "Top-1 against" if view == "path" else "Measure"
        segments("roadmap", "metric", title, names, metric, wrap=True)
        lecture.button()
    return view, charts.METRICS[metric], problem


def _setting(roadmaps: Sequence[str], metric: charts.Metric) -> TimedOn | None:
    """Return how speed and memory were measured; the reader chooses if the chart shows them.

    Several ``roadmaps`` use a setting measured for all of them, if there is one."""
    found = [tables.settings(roadmap) for roadmap in roadmaps]
    settings = list(dict.fromkeys(itertools.chain(*found)))
    settings = [s for s in settings if all(s in each for each in found)] or settings
    if metric.key in MEASURED and settings:
        chosen = st.selectbox(
            "Measured on",
            settings,
            format_func=lambda setting: setting.label,
            key="setting",
            width=460,
        )
        return known(chosen, settings)
    return settings[0] if settings else None


# Contents


def _headline(roadmap: Roadmap) -> None:
    st.html(
        markup.heading("From ResNet to ConvNeXt", 1, "title")
        + f'<p class="lead">{_story(roadmap)}</p>'
    )


def _story(roadmap: Roadmap) -> str:
    """Summarize the roadmap in a sentence, with figures from the tables."""
    table = tables.steps(roadmap.name)
    path = table[table["adopted"] & table["top1"].notna()]  # to where the paper ends
    first, last, count = path.iloc[0], path.iloc[-1], len(path) - 1
    start, end = (f"<b>{number(row['top1'], 2)}%</b>" for row in (first, last))
    before, after = roadmap.networks
    rival = tables.swin(roadmap.name, "top1")
    if rival is None:
        return (
            f"{count} changes to the training of {before}, and none to the network, raise its "
            f"ImageNet-1K top-1 from {start} to {end}."
        )
    name, accuracy = rival
    cost = tables.swin(roadmap.name, "gflops")
    assert cost is not None  # it is the rival's, and there is one
    return (
        f"{count} changes, none of them attention, turn {before} into {after}. ImageNet-1K top-1 "
        f"rises from {start} to {end}, past the {number(accuracy, 2)}% of {name}, for "
        f"{number(last['gflops'], 2)} GFLOPs (multiply-adds); {name} needs "
        f"{number(cost[1], 2)}."
    )


def _more(shown: Chart, view: str) -> None:
    """Show what not everyone needs, folded: recipe, figures, stages; all steps on request."""
    roadmap = ROADMAPS[shown.roadmap]
    rows = recipe_changes(roadmap, shown.step)
    if rows:
        with st.expander(f"Changes to the recipe ({len(rows)})"):
            st.html(markup.recipe_table(("Recipe", "Before", "After"), rows))
    with st.expander("All figures of this step"):
        sizes = roadmap_charts.both_sizes(shown) if view == "both" else [shown]
        for column, sized in zip(st.columns(len(sizes), gap="large"), sizes, strict=True):
            title = ROADMAPS[sized.roadmap]
            head = markup.heading(title.title, 3, "subsection") if view == "both" else ""
            column.html(head + _figures(sized.table, title, sized.step, sized.setting))
    with st.expander("Stage by stage"):
        _stages(roadmap, shown.step)
    _every_step(shown)


def _figures(table: DataFrame, roadmap: Roadmap, key: str, setting: TimedOn | None) -> str:
    previous = roadmap.previous(key)
    now = table.loc[key]
    before = table.loc[previous.key] if previous else None
    rows = []
    for column, name, unit, decimals in FIGURES:
        if column not in table or table[column].isna().all():
            continue
        if before is not None and column in COUNTED:
            decimals = telling(now[column], before[column], decimals)
        value = number(now[column], decimals)
        std = now.get("top1_std") if column == "top1" else None
        if std is not None and std == std:
            value += f" ± {number(std, 2)}"
        gain = ABSENT if before is None else change(now[column], before[column], decimals)
        rows.append((name, unit, value, gain))
    versus = f"vs. {previous.title}" if previous else "Change"
    notes = [_paper_note(now)]
    if setting:
        notes.append(_speed_note(now, setting))
    text = " ".join(note for note in notes if note)
    return markup.figures_table(("Value", versus), rows) + (
        markup.paragraph(text, "faint") if text else ""
    )


def _speed_note(row: Any, setting: TimedOn) -> str:
    speed = row.get("images_per_s")
    if speed is None or speed != speed:
        return "Speed and memory of this step have not been measured yet."
    return f"Speed and memory: {setting.label}.{_kernels_note(row)}"


def _kernels_note(row: Any) -> str:
    """Note that our depthwise kernels were timed, with the speed of PyTorch's if measured."""
    if row["depthwise"] != "own":
        return ""
    speed = row.get("images_per_s_torch")
    compared = speed is not None and speed == speed
    beside = (
        (f"; with PyTorch's kernels, the speed is {number(speed, 0)} images/s") if compared else ""
    )
    return f" Depthwise convolutions use our CUDA kernels{beside}."


def _paper_note(row: Any) -> str:
    """Note where the paper prints other GFLOPs than were counted, or lacks the step."""
    if row["top1"] != row["top1"]:
        return "This step is not in the paper, so it has no published accuracy."
    printed = row.get("paper_gflops")
    if printed is None or printed != printed or rounds_to(row["gflops"], printed):
        return ""
    return (
        f"The paper prints {number(printed, 2)} GFLOPs for this step; this network has "
        f"{number(row['gflops'], 2)}."
    )


def _changes(roadmap: Roadmap, key: str) -> None:
    """Show diagrams of the changed layers; of the block if none changes."""
    previous = roadmap.previous(key)
    after = roadmap.config(key)
    before = roadmap.config(previous.key) if previous else None
    drawn = diagrams.step_diagrams(before, after) or diagrams.step_diagrams(None, after)[-1:]
    captions = (
        (f"Before: {previous.title}", f"After: {roadmap.step(key).title}") if previous else ()
    )
    for diagram in sorted(drawn, key=lambda diagram: diagram.title != diagrams.BLOCK):
        both = captions if len(diagram.panels) == 2 else ()
        st.markdown(markup.drawing(diagram, both, ()), unsafe_allow_html=True)
    stages_only = all(diagram.title == diagrams.STAGES for diagram in drawn)
    st.html(markup.signs(STAGES_KEY if stages_only else _key(before, after)))


def _every_step(shown: Chart) -> None:
    """Show all steps in a sortable table, on request, since a browser is slow to load it."""
    if not st.toggle("Every step in a table", key="every-step"):
        return
    table = shown.table
    figures = {
        column: st.column_config.NumberColumn(f"{name}, {unit}", format=FORMATS[decimals])
        for column, name, unit, decimals in FIGURES
        if column in table
    }
    st.dataframe(
        table.round({"images_per_s": 0}),
        column_order=["title", "group", "adopted", *figures],
        column_config={
            "title": st.column_config.TextColumn("Step", pinned=True),
            "group": "Group",
            "adopted": st.column_config.CheckboxColumn("Adopted"),
            **figures,
        },
        hide_index=True,
        key="every-step-rows",
        alt="Table of every step with its figures.",
    )
    if shown.setting:
        st.html(markup.paragraph(f"Speed and memory: {shown.setting.label}.", "faint"))


def _key(before: ModelConfig | None, after: ModelConfig) -> list[tuple[str, str]]:
    """Return the signs of the diagrams with their meanings."""
    key = []
    if before is not None:
        key += [("+", "new"), ("−", "removed"), ("Δ", "changed")]
    key += [("", "Widths are proportional to channels."), ("", "The grid is the kernel.")]
    if before is not None and BIASED[before.norm] != BIASED[after.norm]:
        biased = after if BIASED[after.norm] else before
        key.append(
            ("", f"With {diagrams.NORMS[biased.norm]}, the block's convolutions have a bias.")
        )
    return key


def _stages(roadmap: Roadmap, key: str) -> None:
    previous = roadmap.previous(key)
    before = roadmap.config(previous.key) if previous else None
    st.html(step_control.stages(before, roadmap.config(key)))
