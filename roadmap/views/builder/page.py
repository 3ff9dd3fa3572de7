"""The builder: every field of a config as a control, its costs counted as it changes."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from models.config import ConfigError, ModelConfig
from roadmap import charts, visitors
from roadmap.charts.costs import START
from roadmap.measure.complexity import count
from roadmap.tables.results import ResultsError
from roadmap.views.builder import address as builder_address
from roadmap.views.builder import compare as builder_compare
from roadmap.views.builder import downloads as builder_downloads
from roadmap.views.builder import fields as builder_fields
from roadmap.views.builder import measure as builder_measure
from roadmap.views.builder import predict as builder_predict
from roadmap.views.builder import tables as builder_tables
from roadmap.views.builder.address import SOURCE_TITLES, Builder, Chosen, Slot, Start
from roadmap.views.common import address, markup, turns
from roadmap.views.common import figure as figure_element

MOST_BYTES = 64_000  # of a config's file; one of ours has under 1,000


def show() -> None:
    """The whole page, in one fragment."""
    _builder()


@turns.fragment
def _builder() -> None:
    builder = _current()
    st.html(
        markup.heading("Builder", 1, "title")
        + '<p class="lead">Every choice that the roadmap makes, free to combine. Each change is '
        "counted at once, from the specification that the network is built from.</p>"
    )
    if builder.problems:
        st.html(markup.notice(" ".join(builder.problems)))
    _head(builder)
    left, right = st.columns([1.15, 1], gap="large")
    with right, st.container(key="builder-answer"):
        problem = _answer(builder)
    with left:
        _controls(builder)
    if problem:
        return
    builder_compare.show(builder)
    left, right = st.columns(2, gap="large")
    with left:
        which = f" of {builder.edited.upper()}" if builder.b else ""
        where = "" if visitors.is_public() else " on this machine"
        st.html(markup.heading(f"Speed{which}{where}", 2, "section"))
        builder_measure.show(builder.current.config, builder.image_size, _name(builder))
    with right:
        which = f" {builder.edited.upper()}" if builder.b else ""
        st.html(markup.heading(f"Download{which}", 2, "section"))
        builder_downloads.show(builder.current.config, builder.image_size)


def _name(builder: Builder) -> str:
    """What is measured, for the table: the start, and what is changed, where that is not much."""
    chosen = builder.current
    said = [
        f"{builder_fields.CONTROLS[field].title} {builder_fields.CONTROLS[field].said(value)}"
        for field, (_, value) in chosen.changes.items()
    ]
    if len(said) > 2:
        said = [f"{len(said)} fields changed"]
    return ", ".join([chosen.start.title, *(text.lower() for text in said)])


# The state, in the URL


def _current() -> Builder:
    """What the URL says; on a page whose URL says nothing yet, what was built last, or else the
    step that is selected."""
    said = st.query_params.to_dict()
    if not {"a", "b"} & set(said):
        said = {**st.session_state.get("builder", {}), **said}
    selected = address.current()
    builder = builder_address.parse(said, Start(selected.roadmap, selected.step))
    if "a" not in said:
        builder = replace(builder, problems=selected.problems + builder.problems)
    if not builder.problems:
        _remember(builder)
        _complete_url(builder)
    return builder


def _remember(builder: Builder) -> None:
    """For the way back from another page, unless it is no more than a starting point: then the
    step selected there is the next one."""
    changed = builder.a.changes or builder.b
    st.session_state["builder"] = builder_address.parameters(builder) if changed else {}


def _complete_url(builder: Builder) -> None:
    """Put the state into a URL that says nothing yet, without an entry in the browser's history,
    which setting ``st.query_params`` would make."""
    if "a" not in st.query_params:
        query = urlencode(builder_address.parameters(builder))
        # Safe in a script: a URL-encoded text has neither quotes nor angle brackets.
        st.html(
            f"<script>history.replaceState(history.state, '', '?{query}')</script>",
            unsafe_allow_javascript=True,
        )


def _go(builder: Builder) -> None:
    st.session_state.pop("refused", None)
    st.query_params.from_dict(builder_address.parameters(builder))


# What the reader chooses


def _head(builder: Builder) -> None:
    """Where the config starts, which of two is edited, and the image."""
    start = builder.current.start
    st.session_state.update(
        {"source": start.source, "start": start.name, "slot": builder.edited}
        | {"image": builder.image_size}
    )
    with st.container(
        horizontal=True, gap="medium", vertical_alignment="bottom", key="builder-head"
    ):
        st.segmented_control(
            "Config",
            ("a", "b"),
            format_func=str.upper,
            key="slot",
            required=True,
            on_change=_slot_chosen,
            args=(builder,),
            help="Two configs to compare. B begins as a copy of A.",
        )
        st.selectbox(
            "Start from",
            list(SOURCE_TITLES),
            format_func=SOURCE_TITLES.get,
            key="source",
            on_change=_source_chosen,
            args=(builder,),
            width=230,
        )
        st.selectbox(
            "Step" if start.source != "variant" else "Network",
            builder_address.STARTS[start.source],
            format_func=lambda name: Start(start.source, name).title,
            key="start",
            on_change=_start_chosen,
            args=(builder,),
            width=230,
        )
        low, high = builder_address.IMAGE_SIZES
        st.number_input(
            "Image, pixels",
            low,
            high,
            step=32,
            key="image",
            on_change=_image_chosen,
            args=(builder,),
            width=140,
        )
        st.button(
            "Reset",
            on_click=_restart,
            args=(builder, start),
            disabled=not (builder.current.changes or "refused" in st.session_state),
            help="Back to the starting point, without a change.",
        )
        _open_config(builder)


def _open_config(builder: Builder) -> None:
    """A config from a file, as changes to where the current one starts."""
    with st.popover("Open a config", key="open"):
        st.file_uploader(
            "A config, JSON",
            type="json",
            max_upload_size=1,  # MB, of which most is refused below
            key="upload",
            on_change=_opened,
            args=(builder,),
        )
        if reason := st.session_state.get("not-opened"):
            st.html(markup.refusal(reason))


def _opened(builder: Builder) -> None:
    file = st.session_state["upload"]
    st.session_state.pop("not-opened", None)
    if getattr(file, "size", None) is None:  # none, or it had to make room
        return
    if file.size > MOST_BYTES:
        st.session_state["not-opened"] = (
            f"The file has {file.size / 1000:,.1f} kB, and a config at most "
            f"{MOST_BYTES / 1000:.0f} kB: use a config saved as JSON."
        )
        return
    try:
        config = ModelConfig.from_json(file.getvalue().decode())
    except UnicodeDecodeError:
        st.session_state["not-opened"] = "The file is not text: use a config saved as JSON."
    except ConfigError as error:
        st.session_state["not-opened"] = str(error)
    else:
        _go(builder.with_current(Chosen(builder.current.start, config)))


def _slot_chosen(builder: Builder) -> None:
    slot: Slot = st.session_state["slot"]
    _go(replace(builder, b=builder.b or builder.a, edited=slot))


def _source_chosen(builder: Builder) -> None:
    """Another source, at the same step where it has one of that name."""
    source, name = st.session_state["source"], builder.current.start.name
    names = builder_address.STARTS[source]
    _restart(builder, Start(source, name if name in names else names[0]))


def _start_chosen(builder: Builder) -> None:
    _restart(builder, Start(builder.current.start.source, st.session_state["start"]))


def _restart(builder: Builder, start: Start) -> None:
    _go(builder.with_current(builder_address.at_start(start)))


def _image_chosen(builder: Builder) -> None:
    _go(replace(builder, image_size=st.session_state["image"]))


def _controls(builder: Builder) -> None:
    chosen = builder.current

    def changed(name: str) -> None:
        answer = builder_fields.chosen(name, chosen.config)
        if isinstance(answer, ModelConfig):
            _go(builder.with_current(Chosen(chosen.start, answer)))
        else:
            st.session_state["refused"] = answer

    def undo() -> None:
        st.session_state.pop("refused", None)

    builder_fields.show(chosen.config, _refused(chosen.config), changed, undo)


def _refused(config: ModelConfig) -> builder_fields.Refused | None:
    """The values refused last, as long as the config they were to replace is shown."""
    refused = st.session_state.get("refused")
    return refused if refused and refused.over == config else None


# What the page answers


def _answer(builder: Builder) -> str:
    """Costs and chart; what is wrong, where the image is too small for the network."""
    chosen, size = builder.current, builder.image_size
    try:
        costs = builder_tables.costs(chosen.config, size)
    except ValueError as error:
        text = f"At {size} × {size} pixels {error}: choose a larger one."
        st.html(markup.notice(text))
        return text
    try:
        before = builder_tables.costs(chosen.start.config, size)
    except ValueError:
        before = None
    rows = builder_tables.cost_rows(costs, before)
    st.html(markup.summary_bar(rows[:2]))
    name = builder.edited.upper() + (", last valid" if _refused(chosen.config) else "")
    caption = (name, f"vs. {chosen.start.title}")
    st.html(markup.figures_table(caption, rows))
    st.html(markup.paragraph(builder_tables.MEMORY_NOTE, "faint"))
    builder_predict.show(chosen.config)
    _chart(builder)
    return ""


def _chart(builder: Builder) -> None:
    try:
        table = builder_tables.known_networks()
    except ResultsError as error:
        st.html(markup.notice(f"The chart is missing: {error}."))
        return
    points = _points(builder)
    named = ", ".join(f"{name} {x:.3g} GFLOPs and {y:.3g} million" for name, x, y in points)
    figure_element.show(
        charts.cost_map(table, points),
        builder_tables.with_points(table, points),
        "builder-costs",
        f"Parameters against multiply-adds of roadmap steps, ConvNeXt, Swin and: {named}.",
    )
    st.html(markup.paragraph(builder_tables.CHART_NOTE, "faint"))


def _points(builder: Builder) -> list[tuple[str, float, float]]:
    """Label, GFLOPs and millions of parameters of what is built, at the chart's image size."""
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
