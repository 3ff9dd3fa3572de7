"""The network drawn beside its starting point, or A beside B: whole, and one part open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import streamlit as st

from models.config import ModelConfig
from roadmap.drawing import diagrams
from roadmap.drawing.diagrams import Diagram
from roadmap.drawing.network import network_diagram
from roadmap.views.common import markup
from roadmap.views.common.builder_address import Builder

#: Drawings that the server keeps, of about 30 kB each.
MOST_KEPT = 64
SIGNS = (("+", "new"), ("−", "removed"), ("Δ", "changed"))
SLABS = (("", "Each slab is a block; its width is the size of its feature map."),)


@dataclass(frozen=True)
class Drawings:
    """The edited network, and its open part, each after what it is compared with (``other``)."""

    network: Diagram
    part: Diagram
    other: str

    @property
    def differ(self) -> bool:
        return len(self.network.panels) == 2 or len(self.part.panels) == 2


def edited(builder: Builder, drawn: str) -> Drawings:
    """Draw the edited network and its part ``drawn`` after the other one, or after its start.

    Raises ``ValueError`` if the image is too small for the edited network.
    """
    current, other, name = builder.current.config, builder.a.start.config, builder.a.start.title
    if builder.b:
        a_is_other = builder.edited == "b"
        other, name = (builder.a if a_is_other else builder.b).config, "A" if a_is_other else "B"
    return _drawn(other, current, drawn, builder.image_size, name)


def show(builder: Builder, drawn: str) -> None:
    """Show A beside its start, or B beside A, where they differ: whole, and the part ``drawn``."""
    before, after = builder.a.start.config, builder.a.config
    names = (f"Start: {builder.a.start.short_title}", "A")
    if builder.b:
        before, after, names = builder.a.config, builder.b.config, ("A", "B")
    if before == after:
        return
    if drawn not in diagrams.part_names(after):
        drawn = "stem"
    try:
        found = _drawn(before, after, drawn, builder.image_size, names[0])
    except ValueError:  # the image is too small for one of them; the table says so
        return
    for diagram, key in ((found.network, SLABS), (found.part, SIGNS)):
        captions = names if len(diagram.panels) == 2 else ()
        st.markdown(markup.drawing(diagram, captions, key), unsafe_allow_html=True)


@lru_cache(maxsize=MOST_KEPT)
def _drawn(
    before: ModelConfig | None, after: ModelConfig, drawn: str, size: int, other: str
) -> Drawings:
    """Draw ``after`` beside ``before``, unless the image is too small for that one."""
    try:
        network = network_diagram(before, after, size)
    except ValueError:
        if before is None:
            raise
        return _drawn(None, after, drawn, size, other)
    both = before is not None and drawn in diagrams.part_names(before)
    part = diagrams.part_diagram(before if both else None, after, drawn, size)
    return Drawings(network, part, other)
