"""The builder: one control per config field, with costs updated on every change."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from models.config import ConfigError, ModelConfig
from models.text import ended
from roadmap import charts, visitors
from roadmap.charts.costs import START
from roadmap.measure.complexity import count
from roadmap.tables.results import ResultsError
from roadmap.views.builder import address as builder_address
from roadmap.views.builder import compare as builder_compare
from roadmap.views.builder import downloads as builder_downloads
from roadmap.views.builder import drawing as builder_drawing
from roadmap.views.builder import fields as builder_fields
from roadmap.views.builder import history, naming, opening
from roadmap.views.builder import measure as builder_measure
from roadmap.views.builder import predict as builder_predict
from roadmap.views.builder import tables as builder_tables
from roadmap.views.builder.address import SOURCE_TITLES, Builder, Chosen, Slot, Start
from roadmap.views.common import address, markup, turns
from roadmap.views.common import figure as figure_element
from roadmap.views.common.bounds import known
from roadmap.views.common.controls import titled

MOST_BYTES = 64_000  # largest config file; a run.json has a few thousand bytes
MOST_CHARACTERS = 100  # of a name in timm


def show() -> None:
    """Show the whole page, in one fragment."""
    _builder()


@turns.fragment
def _builder() -> None:
    builder = _current()
    st.html(
        markup.heading("Builder", 1, "title")
        + '<p class="lead">Combine every choice of the roadmap freely. The costs update with each '
        "change, counted from the specification that the network is built from.</p>"
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
    builder_drawing.show(builder)
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
        stem = naming.stem(builder)
        builder_downloads.show(builder.current.config, builder.image_size, stem)


def _name(builder: Builder) -> str:
    """Name the network for the table: its start, and its changes if they are few."""
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
    """Return the state in the URL, or if it has none, the network built last, or else the
    selected step."""
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
    """Remember the state for a return from another page, unless it is an unchanged starting
    point: the step selected there then becomes the start."""
    changed = builder.a.changes or builder.b
    st.session_state["builder"] = builder_address.parameters(builder) if changed else {}


def _complete_url(builder: Builder) -> None:
    """Add the state to a URL without one, without the entry in the browser's history that setting
    ``st.query_params`` would create."""
    if "a" not in st.query_params:
        query = urlencode(builder_address.parameters(builder))
        # Safe in a script: URL-encoded text has no quotes and no angle brackets.
        st.html(
            f"<script>history.replaceState(history.state, '', '?{query}')</script>",
            unsafe_allow_javascript=True,
        )


def _go(builder: Builder) -> None:
    st.session_state.pop("refused", None)
    st.query_params.from_dict(builder_address.parameters(builder))


# What the reader chooses


def _head(builder: Builder) -> None:
    """Choose the starting point, which config is edited, and the image size."""
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
            help="Compare two configs. B starts as a copy of A.",
        )
        st.selectbox(
            "Start from",
            list(SOURCE_TITLES),
            format_func=titled(SOURCE_TITLES),
            key="source",
            on_change=_source_chosen,
            args=(builder,),
            width=210,
        )
        st.selectbox(
            "Step" if start.source != "variant" else "Network",
            builder_address.STARTS[start.source],
            format_func=lambda name: Start(start.source, name).title,
            key="start",
            on_change=_start_chosen,
            args=(builder,),
            width=210,
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
        _back_and_forth(builder)
        _open_config(builder)


def _back_and_forth(builder: Builder) -> None:
    with st.container(horizontal=True, gap="small", width="content"):
        for name, there in history.neighbors(builder_address.parameters(builder)).items():
            st.button(name, on_click=_return, args=(there,), disabled=there is None)
        st.button(
            "Reset",
            on_click=_restart,
            args=(builder, builder.current.start),
            disabled=not (builder.current.changes or "refused" in st.session_state),
            help="Discard all changes to the starting point.",
        )


def _return(there: dict[str, str]) -> None:
    st.session_state.pop("refused", None)
    st.query_params.from_dict(there)


def _open_config(builder: Builder) -> None:
    """Open a file as changes to the current starting point, or a network by its name in timm."""
    with st.popover("Open a config", key="open"):
        st.file_uploader(
            "A config, run.json or the hub's config.json",
            type="json",
            max_upload_size=1,  # MB, of which most is refused below
            key="upload",
            on_change=_opened,
            args=(builder,),
        )
        st.text_input(
            "Or a name in timm",
            key="timm-name",
            placeholder="convnext_tiny.fb_in1k",
            max_chars=MOST_CHARACTERS,
            on_change=_named,
            args=(builder,),
        )
        if reason := st.session_state.get("not-opened"):
            st.html(markup.refusal(reason))


def _opened(builder: Builder) -> None:
    file = st.session_state["upload"]
    st.session_state.pop("not-opened", None)
    if getattr(file, "size", None) is None:  # no upload, or it was removed to free memory
        return
    if file.size > MOST_BYTES:
        st.session_state["not-opened"] = (
            f"The file is {file.size / 1000:,.1f} kB, and the limit is "
            f"{MOST_BYTES / 1000:.0f} kB: use a config saved as JSON."
        )
        return
    try:
        chosen = opening.from_file(file.getvalue().decode(), builder.current.start)
    except UnicodeDecodeError:
        st.session_state["not-opened"] = "The file is not text: use a config saved as JSON."
    except ConfigError as error:
        st.session_state["not-opened"] = ended(error)
    else:
        _go(builder.with_current(chosen))


def _named(builder: Builder) -> None:
    name = st.session_state["timm-name"]
    st.session_state.pop("not-opened", None)
    if not name.strip():
        return
    try:
        _go(builder.with_current(opening.from_name(name)))
    except ConfigError as error:
        st.session_state["not-opened"] = ended(error)


def _slot_chosen(builder: Builder) -> None:
    slot: Slot = st.session_state["slot"]
    _go(replace(builder, b=builder.b or builder.a, edited=slot))


def _source_chosen(builder: Builder) -> None:
    """Change the source; keep the step if the new source has one of that name."""
    source = known(st.session_state["source"], list(SOURCE_TITLES))
    name = builder.current.start.name
    names = builder_address.STARTS[source]
    _restart(builder, Start(source, name if name in names else names[0]))


def _start_chosen(builder: Builder) -> None:
    source = builder.current.start.source
    _restart(
        builder, Start(source, known(st.session_state["start"], builder_address.STARTS[source]))
    )


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
    """Return the values refused last, while the config they would have replaced is shown."""
    refused = st.session_state.get("refused")
    return refused if refused and refused.over == config else None


# Results


def _answer(builder: Builder) -> str:
    """Show costs and chart. Return an error message if the image is too small, else ''."""
    chosen, size = builder.current, builder.image_size
    try:
        costs = builder_tables.costs(chosen.config, size)
    except ValueError as error:
        text = f"At {size} × {size} pixels {ended(error)} Choose a larger image."
        st.html(markup.notice(text))
        return text
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
    st.html(markup.paragraph(builder_tables.CHART_NOTE, "faint"))


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
