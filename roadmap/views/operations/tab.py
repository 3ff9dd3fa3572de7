"""The tab that shows the operations of a step. Imports no torch."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from models.config import ModelConfig
from roadmap import palette
from roadmap.definition import Roadmap
from roadmap.steps import ROADMAPS
from roadmap.views.common import assets, markup
from roadmap.views.operations.data import OPERATIONS, Data, brought

ASSETS = Path(__file__).parent / "assets"
NAME = "roadmap_operation"
COLORS = (palette.BLUE, palette.ORANGE, palette.VIOLET, palette.CYAN)


def show(roadmap: Roadmap, key: str) -> None:
    """Show the operations that step ``key`` brings, or links to the steps that bring one."""
    before, after = _networks(roadmap, key)
    names = brought(before, after)
    if before is None or not names:
        st.html(_contents(roadmap if roadmap.changes_networks else next(iter(ROADMAPS.values()))))
        return
    mount = st.components.v2.component(
        NAME,
        css=assets.text(ASSETS / "style.css"),
        js=_script(),
        html="<div class=operation></div>",
    )
    for name in names:
        title, sentence, _ = OPERATIONS[name]
        named = markup.heading(title, 2, "section first") + markup.paragraph(sentence, "why")
        st.html(f'<div class="named">{named}</div>')
        mount(
            key=f"operation-{roadmap.name}-{key}-{name}",
            data={"operation": name, "colors": COLORS, **_data(name, before, after)},
        )


def _networks(roadmap: Roadmap, key: str) -> tuple[ModelConfig | None, ModelConfig]:
    previous = roadmap.previous(key)
    return roadmap.config(previous.key) if previous else None, roadmap.config(key)


@st.cache_data(show_spinner=False, max_entries=64)
def _data(name: str, before: ModelConfig, after: ModelConfig) -> Data:
    return OPERATIONS[name][2](before, after)


@cache
def _script() -> str:
    """Return one module: the shared functions, the operations, and the entry point."""
    names = ["shared", *OPERATIONS, "main"]
    return "\n".join(assets.text(ASSETS / f"{name}.js") for name in names)


def _contents(roadmap: Roadmap) -> str:
    """Return links to every operation of ``roadmap``, in the order of its steps."""
    items, seen = [], set()
    for step in roadmap.steps:
        for name in brought(*_networks(roadmap, step.key)):
            if name in seen:
                continue
            seen.add(name)
            title, sentence, _ = OPERATIONS[name]
            query = urlencode({"roadmap": roadmap.name, "step": step.key, "tab": "operation"})
            items.append(
                f'<li><a href="inside?{escape(query)}" target="_self">{escape(title)}</a>'
                f"<span>{escape(sentence)}</span></li>"
            )
    return (
        markup.heading("Operations to try", 2, "section first")
        + markup.paragraph(
            "This step has no interactive operation. These steps have one:",
            "why",
        )
        + f'<ul class="operations">{"".join(items)}</ul>'
    )
