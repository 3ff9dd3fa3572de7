"""The builder: a network as a drawing whose parts are changed, with its costs beside it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from models.text import ended
from roadmap import charts, visitors
from roadmap.charts.costs import START
from roadmap.measure.complexity import count
from roadmap.tables.results import ResultsError
from roadmap.views.builder import compare as builder_compare
from roadmap.views.builder import downloads as builder_downloads
from roadmap.views.builder import drawing as builder_drawing
from roadmap.views.builder import editor, head, naming, nearest, places, state
from roadmap.views.builder import measure as builder_measure
from roadmap.views.builder import predict as builder_predict
from roadmap.views.builder import tables as builder_tables
from roadmap.views.builder.places import PARAMETER, Place
from roadmap.views.common import builder_address, markup, turns
from roadmap.views.common import figure as figure_element
from roadmap.views.common.builder_address import Builder
from roadmap.views.common.fields import CONTROLS


def show() -> None:
    """Show the whole page, in one fragment."""
    _builder()


@turns.fragment
def _builder() -> None:
    builder, place = _current()
    st.html(
        markup.heading("Builder", 1, "title")
        + '<p class="lead">Combine every choice of the roadmap freely: choose a part of the '
        "network and change it. Costs are counted from the specification that the network is built "
        "from.</p>"
    )
    if builder.problems:
        st.html(markup.notice(" ".join(builder.problems)))
    head.show(builder)
    with st.container(key="builder-answer"):
        too_small = _costs(builder)
    editor.show(builder, place, None if too_small else builder_drawing.edited(builder, place.drawn))
    if too_small:
        return
    builder_compare.show(builder, place.drawn)
    which = f" of {builder.edited.upper()}" if builder.b else ""
    st.html(markup.heading(f"Accuracy and cost{which}", 2, "section"))
    left, right = st.columns([1.25, 1], gap="large")
    with left:
        builder_predict.show(builder.current.config)
        nearest.show(builder.current.config)
    with right:
        _chart(builder)
    left, right = st.columns(2, gap="large")
    with left:
        where = "" if visitors.is_public() else " on this machine"
        st.html(markup.heading(f"Speed{which}{where}", 2, "section"))
        builder_measure.show(builder.current.config, builder.image_size, _name(builder))
    with right:
        which = f" {builder.edited.upper()}" if builder.b else ""
        st.html(markup.heading(f"Download{which}", 2, "section"))
        stem = naming.stem(builder)
        builder_downloads.show(builder.current.config, builder.image_size, stem)


def _current() -> tuple[Builder, Place]:
    """Return the state and the open place in the URL."""
    builder, text = state.current(), st.query_params.get(PARAMETER)
    if text and (problem := places.problem(text)):
        builder = replace(builder, problems=(*builder.problems, problem))
    return builder, places.parse(text, builder.current.config)


def _name(builder: Builder) -> str:
    """Name the network for the table: its start, and its changes if they are few."""
    chosen = builder.current
    said = [CONTROLS[field].phrase(value) for field, (_, value) in chosen.changes.items()]
    if len(said) > 2:
        said = [f"{len(said)} fields changed"]
    return ", ".join([chosen.start.title, *said])


def _costs(builder: Builder) -> bool:
    """Show the costs; return True if the image is too small for the network."""
    chosen, size = builder.current, builder.image_size
    try:
        costs = builder_tables.costs(chosen.config, size)
    except ValueError as error:
        text = f"At {size} × {size} pixels {ended(error)} Choose a larger image."
        st.html(markup.notice(text))
        return True
    try:
        before = builder_tables.costs(chosen.start.config, size)
    except ValueError:
        before = None
    rows = builder_tables.cost_rows(costs, before)
    units = ("M parameters", "GFLOPs")
    st.html(
        markup.summary_bar(
            (value, unit, change) for unit, (_, _, value, change) in zip(units, rows, strict=False)
        )
    )
    valid = ", last valid" if state.refused(builder) else ""
    caption = f"{builder.edited.upper()}{valid}, compared with its start: {chosen.start.title}"
    st.html(markup.figures_strip(caption, rows))
    return False


def _chart(builder: Builder) -> None:
    try:
        table = builder_tables.known_networks()
    except ResultsError as error:
        st.html(markup.notice(f"The chart cannot be drawn: {error}"))
        return
    points = _points(builder)
    named = ", ".join(
        f"{name} {x:.3g} GFLOPs and {y:.3g} million parameters" for name, x, y in points
    )
    figure_element.show(
        charts.cost_map(table, points),
        builder_tables.with_points(table, points),
        "builder-costs",
        f"Parameters against GFLOPs of roadmap steps, ConvNeXt, Swin and: {named}.",
    )
    notes = f"{builder_tables.CHART_NOTE} {builder_tables.MEMORY_NOTE}"
    st.html(markup.paragraph(notes, "faint"))


def _points(builder: Builder) -> list[tuple[str, float, float]]:
    """Return label, GFLOPs and millions of parameters per network, at the chart's image size."""
    configs = {builder.edited.upper(): builder.current.config}
    if builder.current.changes:
        configs[START] = builder.current.start.config
    if builder.b:
        configs |= {"A": builder.a.config, "B": builder.b.config}
    points = []
    for name, config in configs.items():
        costs = count(config, builder_address.IMAGE_SIZE)
        points.append((name, costs.macs / 1e9, costs.parameters / 1e6))
    return points
