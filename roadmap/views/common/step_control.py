"""Choice of roadmap and step: controls and texts shared by the pages about a step."""

from __future__ import annotations

from html import escape

import streamlit as st

from models.config import ModelConfig
from models.spec import network_spec
from roadmap.definition import Roadmap
from roadmap.drawing import diagrams
from roadmap.palette import GRAY, GROUP_COLORS
from roadmap.steps import ROADMAPS
from roadmap.views.common import markup
from roadmap.views.common.address import Selection, store
from roadmap.views.common.bounds import known
from roadmap.views.common.controls import titled


def roadmap_control(chosen: Selection) -> None:
    """Change the roadmap; keep the step if the new roadmap has one of that name."""
    st.session_state["roadmap"] = chosen.roadmap
    st.segmented_control(
        "Roadmap",
        list(ROADMAPS),
        format_func=titled({name: roadmap.short_title for name, roadmap in ROADMAPS.items()}),
        key="roadmap",
        required=True,
        wrap=True,
        on_change=_roadmap_chosen,
        args=(chosen.step,),
    )


def _roadmap_chosen(step: str) -> None:
    roadmap = st.session_state["roadmap"]
    keys = ROADMAPS[roadmap].keys
    store(roadmap, step if step in keys else keys[0])


def step_control(roadmap: Roadmap, key: str) -> None:
    """Select the previous, any or the next step: the keyboard equivalent of clicking a bar."""
    keys, place = roadmap.keys, roadmap.keys.index(key)
    st.session_state["step"] = key
    titles = {step.key: step.title for step in roadmap.steps}
    st.html(markup.announced(f"{titles[key]}, step {place + 1} of {len(keys)}"))
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.button(
            "Previous",
            disabled=place == 0,
            on_click=store,
            args=(roadmap.name, keys[max(place - 1, 0)]),
        )
        st.selectbox(
            "Step",
            keys,
            format_func=titled(titles),
            key="step",
            on_change=_step_chosen,
            args=(roadmap.name,),
            label_visibility="collapsed",
        )
        st.button(
            "Next",
            disabled=place == len(keys) - 1,
            on_click=store,
            args=(roadmap.name, keys[min(place + 1, len(keys) - 1)]),
        )


def _step_chosen(roadmap: str) -> None:
    store(roadmap, known(st.session_state["step"], ROADMAPS[roadmap].keys))


def step_heading(roadmap: Roadmap, key: str) -> str:
    """Return the step's group and place, and its title."""
    step, place = roadmap.step(key), roadmap.keys.index(key)
    color = GROUP_COLORS.get(step.group, GRAY)
    state = "" if step.adopted else ", <b>tried, not adopted</b>"
    return (
        f'<p class="eyebrow"><i style="background:{color}"></i>{escape(step.group)}, '
        f"step {place + 1} of {len(roadmap.keys)}{state}</p>"
        + markup.heading(step.title, 2, "step")
    )


def stages(before: ModelConfig | None, after: ModelConfig, image_size: int = 224) -> str:
    """Return the stage table of ``after`` beside that of ``before``, if they differ.

    Raises ``ValueError`` if the image is too small for the network.
    """
    new = diagrams.stage_table(after, image_size)
    old = None if before is None else diagrams.stage_table(before, image_size)
    note = (
        "Kernel size and output channels of each convolution for an image of "
        f"{image_size} × {image_size}; d means depthwise."
    )
    if before is not None and old == new:
        same = (
            "The network is the same as"
            if network_spec(before) == network_spec(after)
            else "The convolutions are the same as"
        )
        old, note = None, f"{same} in the previous step. {note}"
    return markup.stages_table(old, new) + markup.paragraph(note, "faint below")
