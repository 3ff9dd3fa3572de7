"""The network drawn beside its starting point, or A beside B: whole, and one part open."""

from __future__ import annotations

import streamlit as st

from models.config import ModelConfig
from roadmap.drawing import diagrams
from roadmap.drawing.network import network_diagram
from roadmap.views.builder.address import Builder
from roadmap.views.common import markup
from roadmap.views.common.bounds import known
from roadmap.views.common.controls import titled

PART = "builder-part"
SIGNS = (("+", "new"), ("−", "removed"), ("Δ", "changed"))
SLABS = (("", "Each slab is a block; its width is the size of its feature map."),)


def show(builder: Builder) -> None:
    """Show both drawings; where nothing differs there is one panel."""
    before: ModelConfig | None
    if builder.b:
        before, after, captions = builder.a.config, builder.b.config, ("A", "B")
    else:
        chosen = builder.a
        before, after = chosen.start.config, chosen.config
        captions = (f"Start: {chosen.start.title}", "A")
    size = builder.image_size
    try:
        whole = network_diagram(before, after, size)
    except ValueError:  # the image is too small for the other network
        before = None
        whole = network_diagram(None, builder.current.config, size)
        after = builder.current.config
    st.html(markup.heading("Drawing", 2, "section"))
    left, right = st.columns([1.15, 1], gap="large")
    with left:
        st.markdown(
            markup.drawing(whole, _captions(whole, captions), SLABS), unsafe_allow_html=True
        )
    with right:
        names = diagrams.part_names(after)
        part = st.selectbox("Open part", list(names), 2, format_func=titled(names), key=PART)
        opened = diagrams.part_diagram(before, after, known(part, list(names)), size)
        st.markdown(
            markup.drawing(opened, _captions(opened, captions), SIGNS if before else ()),
            unsafe_allow_html=True,
        )


def _captions(diagram: diagrams.Diagram, captions: tuple[str, str]) -> tuple[str, ...]:
    return captions if len(diagram.panels) == 2 else ()
