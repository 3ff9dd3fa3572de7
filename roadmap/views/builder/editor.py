"""The builder's workspace: the network and its open part as drawings, and the controls beside them.

A click on a part opens its controls. The drawings are pictures with a button over each part, so
mouse and keyboard use the same elements.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from html import escape
from pathlib import Path

import streamlit as st

from models.config import ModelConfig
from roadmap.drawing.diagrams import Diagram
from roadmap.drawing.svg import SIZE, Area
from roadmap.views.builder import fields, places
from roadmap.views.builder.drawing import Drawings
from roadmap.views.builder.fields import Refused
from roadmap.views.builder.places import Place
from roadmap.views.builder.state import REFUSED, go, go_to_place, refused
from roadmap.views.common import assets, builder_address, markup
from roadmap.views.common.bounds import known
from roadmap.views.common.builder_address import Builder, Chosen
from roadmap.views.common.controls import titled
from roadmap.views.common.fields import GROUPS, INPUTS, TITLES, group_of
from roadmap.views.common.number_field import kept_number_field

KEY, NAME = "builder-drawing", "roadmap_builder"
FILES = Path(__file__).parent
HINT = "Choose a part of the network, or a layer of the open part, to change it."


def show(builder: Builder, place: Place, drawings: Drawings | None) -> None:
    """Show drawings and controls; without drawings, since the image is too small, the controls."""
    if drawings is None:
        with st.columns(2)[0]:
            _controls(builder, Place(place.drawn, INPUTS))  # with the size of the image
        return
    left, right = st.columns([2.05, 1], gap="large")
    mount = st.components.v2.component(
        NAME,
        html='<div class="root"></div>',
        css=assets.text(FILES / "editor.css"),
        js=assets.text(FILES / "editor.js"),
    )
    with left:
        mount(
            key=KEY,
            data={"html": _html(builder, place, drawings), "place": str(place)},
            on_go_change=lambda: _opened(builder),
        )
    with right, st.container(key="builder-controls"):
        _controls(builder, place)


def _opened(builder: Builder) -> None:
    """Open what was clicked; a browser may send anything."""
    text = str(st.session_state[KEY].get("go"))[:100]
    if not places.problem(text):
        go_to_place(builder, places.parse(text, builder.current.config))


# The drawings


def _html(builder: Builder, place: Place, drawings: Drawings) -> str:
    which = f" {builder.edited.upper()}" if builder.b else ""
    network = places.places_of_network(drawings.network.areas, place)
    part = places.places_of_part(drawings.part.areas, place)
    return (
        '<div class="drawings">'
        + _picture(f"The network{which}", drawings.network, network, place)
        + _picture(drawings.part.title, drawings.part, part, place)
        + f'</div><p class="hint">{HINT}{_key(drawings)}</p>'
    )


def _key(drawings: Drawings) -> str:
    return f" Signs compare with {escape(drawings.other)}." if drawings.differ else ""


def _picture(
    title: str, diagram: Diagram, targets: Iterable[tuple[Area, Place]], place: Place
) -> str:
    """Return the last panel of ``diagram`` with a button over each area."""
    svg = diagram.panels[-1]
    size = SIZE.search(svg)
    assert size  # every picture of ours has one
    width, height = (float(side) for side in size.groups())
    buttons = "".join(_button(area, there, place, width, height) for area, there in targets)
    return (
        f'<section><h3>{escape(title)}</h3><div class="panel" style="max-width:{width:.0f}px">{svg}'
        f'<div role="toolbar" aria-orientation="vertical" aria-label="Parts of: {escape(title)}">'
        f"{buttons}</div></div></section>"
    )


def _button(area: Area, there: Place, place: Place, width: float, height: float) -> str:
    box = {
        "left": area.left / width,
        "top": area.top / height,
        "width": area.width / width,
        "height": area.height / height,
    }
    style = ";".join(f"{side}:{100 * share:.2f}%" for side, share in box.items())
    opened = there == place or (there.drawn == place.drawn and area.name == place.drawn)
    return (
        f'<button type="button" data-go="{there}" data-area="{escape(area.name)}" '
        f'aria-pressed="{str(opened).lower()}" aria-label="{escape(area.title)}" style="{style}">'
        "</button>"
    )


# The controls


def _controls(builder: Builder, place: Place) -> None:
    """Choose a group and show its controls; input and training are folded."""
    group = place.group if place.group != INPUTS else places.own_group(place.drawn)
    st.session_state["group"] = group
    st.selectbox(
        "Controls of",
        [key for key in GROUPS if key != INPUTS],
        format_func=titled(TITLES),
        key="group",
        on_change=_group_chosen,
        args=(builder, place),
    )
    found = refused(builder)
    if found and group_of(found.fields[0]) not in (group, INPUTS):
        _refusal(builder, place, found)
    _fields(builder, place, group)
    unfolded = bool(found and group_of(found.fields[0]) == INPUTS) or place.group == INPUTS
    with st.expander(TITLES[INPUTS], expanded=unfolded, key=f"builder-rest-{unfolded}"):
        _image(builder)
        _fields(builder, place, INPUTS)


def _group_chosen(builder: Builder, place: Place) -> None:
    group = known(st.session_state["group"], tuple(GROUPS))
    go_to_place(builder, places.place_of_group(group, place))


def _fields(builder: Builder, place: Place, group: str) -> None:
    chosen = builder.current

    def changed(name: str) -> None:
        answer = fields.chosen(name, chosen.config, refused(builder))
        if isinstance(answer, ModelConfig):
            go(builder.with_current(Chosen(chosen.start, answer)))
        else:
            st.session_state[REFUSED] = answer

    fields.show(
        group,
        chosen.config,
        refused(builder),
        changed,
        lambda found: _refusal(builder, place, found),
    )


def _refusal(builder: Builder, place: Place, found: Refused) -> None:
    """Say what is wrong, with a way back and to the other controls that it is about."""
    groups = dict.fromkeys(map(group_of, found.fields))
    with st.container(key="refusal", gap=None):
        st.html(markup.refusal(found.reason))
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Discard",
                key="discard",
                type="tertiary",
                on_click=st.session_state.pop,
                args=(REFUSED, None),
                help="Restore the last valid values, whose costs are shown.",
            )
            for group in groups:
                if group not in (place.group, INPUTS):
                    st.button(
                        f"Open: {TITLES[group]}",
                        key=f"open-{group}",
                        type="tertiary",
                        on_click=go_to_place,
                        args=(builder, places.place_of_group(group, place)),
                    )


def _image(builder: Builder) -> None:
    wrong = kept_number_field(
        "Image, pixels",
        *builder_address.IMAGE_SIZES,
        "image",
        kept=builder.image_size,
        keep=lambda size: go(replace(builder, image_size=size)),
        name="The image size",
        unit=" pixels",
        step=32,
        help="Side of the square image that costs are counted for.",
    )
    if wrong:
        st.html(markup.refusal(wrong))
