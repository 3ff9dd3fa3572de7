"""The builder's first row: which config is edited, its starting point, undo, and opening a file."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from models.config import ConfigError
from models.text import ended, shortened
from roadmap.views.builder import history, opening
from roadmap.views.builder.state import REFUSED, go, go_to
from roadmap.views.common import builder_address, markup
from roadmap.views.common.bounds import known
from roadmap.views.common.builder_address import SOURCE_TITLES, Builder, Slot, StartingPoint
from roadmap.views.common.controls import titled

MOST_BYTES = 64_000  # largest config file; a run.json has a few thousand bytes
MOST_CHARACTERS = 100  # of a name in timm


def show(builder: Builder) -> None:
    """Choose which config is edited and its starting point; undo, reset and open."""
    start = builder.current.start
    st.session_state.update({"source": start.source, "start": start.name, "slot": builder.edited})
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
            format_func=lambda name: StartingPoint(start.source, name).title,
            key="start",
            on_change=_start_chosen,
            args=(builder,),
            width=290,
        )
        _back_and_forth(builder)
        _open_config(builder)


def _back_and_forth(builder: Builder) -> None:
    with st.container(horizontal=True, gap="small", width="content"):
        for name, there in history.neighbors(builder_address.parameters(builder)).items():
            st.button(name, on_click=go_to, args=(there,), disabled=there is None)
        st.button(
            "Reset",
            on_click=_restart,
            args=(builder, builder.current.start),
            disabled=not (builder.current.changes or REFUSED in st.session_state),
            help="Discard all changes to the starting point.",
        )


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
        st.session_state["not-opened"] = f"{shortened(file.name)}: {ended(error)}"
    else:
        go(builder.with_current(chosen))


def _named(builder: Builder) -> None:
    name = st.session_state["timm-name"]
    st.session_state.pop("not-opened", None)
    if not name.strip():
        return
    try:
        go(builder.with_current(opening.from_name(name)))
    except ConfigError as error:
        st.session_state["not-opened"] = ended(error)


def _slot_chosen(builder: Builder) -> None:
    slot: Slot = st.session_state["slot"]
    go(replace(builder, b=builder.b or builder.a, edited=slot))


def _source_chosen(builder: Builder) -> None:
    """Change the source; keep the step if the new source has one of that name."""
    source = known(st.session_state["source"], list(SOURCE_TITLES))
    name = builder.current.start.name
    names = builder_address.STARTS[source]
    _restart(builder, StartingPoint(source, name if name in names else names[0]))


def _start_chosen(builder: Builder) -> None:
    source = builder.current.start.source
    _restart(
        builder,
        StartingPoint(source, known(st.session_state["start"], builder_address.STARTS[source])),
    )


def _restart(builder: Builder, start: StartingPoint) -> None:
    go(builder.with_current(builder_address.at_start(start)))
