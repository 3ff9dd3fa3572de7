"""Inside a step: its block, network, cost, receptive field, code and config. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from models.config import FIELDS, ModelConfig
from models.source import network_source
from models.text import ended, said
from roadmap.definition import Roadmap, Step
from roadmap.drawing import diagrams
from roadmap.drawing.network import network_diagram
from roadmap.steps import ROADMAPS
from roadmap.views.common import address, markup, step_control, turns
from roadmap.views.common.controls import segments
from roadmap.views.common.fields import CONTROLS
from roadmap.views.common.number_field import kept_number_field
from roadmap.views.common.picture_link import picture_link
from roadmap.views.inside import cost as inside_cost
from roadmap.views.inside import field as inside_field
from roadmap.views.operations import tab as operation_tab

IMAGE_SIZE, IMAGE_SIZES = 224, (32, 1024)
TABS = {
    "block": "Block",
    "operation": "Try it",
    "network": "Network",
    "cost": "Cost",
    "field": "Receptive field",
    "code": "Code",
    "config": "Config",
}
SIZED = ("block", "network", "cost")  # tabs whose figures depend on the image size
KEY = (
    ("+", "new"),
    ("−", "removed"),
    ("Δ", "changed"),
    ("", "Under each layer: height, width and channels of its output."),
    ("", "Widths are proportional to channels. The grid is the kernel."),
)


@dataclass(frozen=True)
class Inside:
    """The page's state: a step, the adopted step before it, if any, and the image size."""

    roadmap: Roadmap
    step: Step
    previous: Step | None
    image_size: int

    @property
    def config(self) -> ModelConfig:
        return self.roadmap.config(self.step.key)

    @property
    def before(self) -> ModelConfig | None:
        return self.roadmap.config(self.previous.key) if self.previous else None

    @property
    def name(self) -> str:
        """The name for downloaded files."""
        return f"{self.roadmap.name}-{self.step.key}"


@turns.fragment
def show() -> None:
    """Show the whole page, in one fragment."""
    chosen = address.current()
    tab, unknown = address.option(st.query_params, "tab", tuple(TABS))
    image_size, absurd = image_size_of(st.query_params)
    problems = [problem for problem in (*chosen.problems, unknown, absurd) if problem]
    st.html(markup.heading("Inside a step", 1, "title"))
    notice = st.empty()
    if problems:
        notice.html(markup.notice(" ".join(problems)))
    roadmap = ROADMAPS[chosen.roadmap]
    inside = Inside(roadmap, roadmap.step(chosen.step), roadmap.previous(chosen.step), image_size)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        step_control.roadmap_control(chosen)
        with st.container(width=460):
            step_control.step_control(roadmap, chosen.step)
    # An operation says what it shows in a sentence of its own, nearer to its drawing.
    why = markup.paragraph(inside.step.why, "why") if tab != "operation" else ""
    st.html(step_control.step_heading(roadmap, chosen.step) + why)
    _tab_controls(tab, image_size, picture_link(roadmap, chosen.step))
    with st.container(key=f"inside-{tab}"):
        SHOWN[tab](inside)
    _complete(chosen)


def image_size_of(parameters: Mapping[str, str]) -> tuple[int, str]:
    """Return the URL's image size in pixels and ''; if it is invalid, 224 and a sentence about
    it."""
    text = parameters.get("image")
    if not text:
        return IMAGE_SIZE, ""
    low, high = IMAGE_SIZES
    if text.isascii() and text.isdigit() and len(text) < 6 and low <= int(text) <= high:
        return int(text), ""
    return IMAGE_SIZE, (
        f"The image size in the URL is {said(text)}; use a whole number of pixels from {low} to "
        f"{high:,}. Using {IMAGE_SIZE}."
    )


def _tab_controls(tab: str, image_size: int, link: str) -> None:
    wrong = ""
    with st.container(
        horizontal=True, gap="medium", vertical_alignment="bottom", key="inside-controls"
    ):
        segments("inside", "tab", "Show", TABS, tab, wrap=True)
        if tab in SIZED:
            wrong = kept_number_field(
                "Image, pixels",
                *IMAGE_SIZES,
                "inside-image",
                kept=image_size,
                keep=_keep_image_size,
                name="The image size",
                unit=" pixels",
                step=32,
                width=150,
            )
        st.html(link, width="content")
    if wrong:
        st.html(markup.refusal(wrong))


def _keep_image_size(size: int) -> None:
    if size == IMAGE_SIZE:
        st.query_params.pop("image", None)
    else:
        st.query_params["image"] = str(size)


def _complete(chosen: address.Selection) -> None:
    """Add the selection to a URL without one, so that it can be shared."""
    if not chosen.problems:
        address.complete(chosen)


# The tabs


def _block(inside: Inside) -> None:
    parts = diagrams.part_names(inside.config)
    part, problem = address.option(st.query_params, "part", tuple({"stage1": "", **parts}))
    if problem:
        st.html(markup.notice(problem))
    segments(
        "inside",
        "part",
        "Part of the network",
        parts,
        part,
        wrap=True,
        label_visibility="collapsed",
    )
    try:
        diagram = diagrams.part_diagram(inside.before, inside.config, part, inside.image_size)
    except ValueError as error:
        st.html(markup.notice(f"{ended(_capital(error))} Choose a larger image."))
        return
    compared = len(diagram.panels) == 2
    captions = _captions(inside) if compared else ()
    key = KEY if compared else KEY[3:]
    st.markdown(markup.drawing(diagram, captions, key), unsafe_allow_html=True)
    if inside.previous and not compared:
        text = f"This part is the same as in the previous step, {inside.previous.title}."
        st.html(markup.paragraph(text, "faint"))


def _network(inside: Inside) -> None:
    try:
        diagram = network_diagram(inside.before, inside.config, inside.image_size)
        stages = step_control.stages(inside.before, inside.config, inside.image_size)
    except ValueError as error:
        st.html(markup.notice(f"{ended(_capital(error))} Choose a larger image."))
        return
    captions = _captions(inside) if len(diagram.panels) == 2 else ()
    key = [
        ("", "Each slab is a block; its width is the size of its feature map."),
        ("", "Beside it: height, width and channels, then parameters and GFLOPs."),
    ]
    st.markdown(markup.drawing(diagram, captions, key), unsafe_allow_html=True)
    st.html(markup.heading("Stage by stage", 2, "section") + stages)


def _cost(inside: Inside) -> None:
    inside_cost.show(inside.config, inside.image_size, f"{inside.name}-cost")


def _field(inside: Inside) -> None:
    previous = inside.previous
    named = [(previous.title, inside.before)] if previous and inside.before else []
    inside_field.show([*named, (inside.step.title, inside.config)], inside.name)


def _code(inside: Inside) -> None:
    source = _source(inside.config)
    st.html(
        markup.paragraph(
            "The complete network in one file that only needs PyTorch. It has the same state dict "
            "as the network built here, and gives the same logits with the same weights.",
            "why",
        )
    )
    st.download_button(
        f"Download {len(source.splitlines())} lines of Python",
        source,
        f"{inside.name.replace('-', '_')}.py",
        "text/x-python",
        key="inside-download-source",
        on_click="ignore",
    )
    st.code(source, "python", height=640)


def _config(inside: Inside) -> None:
    """Show every field at the start, in the previous step and here; changes are marked."""
    start = inside.roadmap.start
    before = inside.before or start
    changed = [name for name in FIELDS if getattr(inside.config, name) != getattr(before, name)]
    configs = {inside.roadmap.steps[0].title: start}
    if inside.previous and inside.previous.key != inside.roadmap.keys[0]:
        configs[inside.previous.title] = before
    if inside.previous:
        configs[inside.step.title] = inside.config
    rows = [
        (CONTROLS[name].title, [CONTROLS[name].said(getattr(c, name)) for c in configs.values()])
        for name in FIELDS
    ]
    left, right = st.columns([1.6, 1], gap="large")
    with left:
        st.html(markup.paragraph(_said(inside, changed), "why") + _fields(list(configs), rows))
    with right:
        st.download_button(
            "Download the config",
            inside.config.to_json(indent=2) + "\n",
            f"{inside.name}.json",
            "application/json",
            key="inside-download-config",
            on_click="ignore",
            help="For ModelConfig.from_json and python -m roadmap profile --config.",
        )
        st.code(inside.config.to_json(indent=2), "json")


def _said(inside: Inside, changed: list[str]) -> str:
    if not inside.previous:
        return "The roadmap starts from this config."
    if not changed:
        return f"No field differs from {inside.previous.title}: only the training recipe changes."
    fields = "One field changes" if len(changed) == 1 else f"{len(changed)} fields change"
    first = inside.roadmap.steps[0]
    other = "" if inside.previous is first else f" Bold: differs from {first.title}."
    return f"{fields} from {inside.previous.title}, marked Δ.{other}"


def _fields(heads: list[str], rows: list[tuple[str, list[str]]]) -> str:
    """Return the table of all fields; a row is marked if its last two values differ."""
    lines = [(name, values, len(values) > 1 and values[-1] != values[-2]) for name, values in rows]
    return markup.config_table(["Field", *heads], lines)


def _captions(inside: Inside) -> tuple[str, str]:
    before = inside.previous.title if inside.previous else ""
    return f"Before: {before}", f"After: {inside.step.title}"


def _capital(error: ValueError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


@st.cache_data(show_spinner=False, max_entries=64)
def _source(config: ModelConfig) -> str:
    return network_source(config)


SHOWN = {
    "block": _block,
    "operation": lambda inside: operation_tab.show(inside.roadmap, inside.step.key),
    "network": _network,
    "cost": _cost,
    "field": _field,
    "code": _code,
    "config": _config,
}
