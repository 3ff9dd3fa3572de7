"""What one position of the output sees: in theory stage by stage, and in effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from models.config import ModelConfig
from roadmap import visitors
from roadmap.background.queue import Job, prepare
from roadmap.charts.inside import field_map
from roadmap.measure.limits import fields_refusal
from roadmap.measure.receptive_field import receptive_fields
from roadmap.text import change, number
from roadmap.views.builder import work as builder_work
from roadmap.views.common import figure, markup

KEY = "effective-field"
CELL = 4  # pixels of an image's side in one cell of the map
DRAWN = ("0.2", "0.5")  # shares whose squares the map shows
MOST_KEPT = 128  # networks whose fields the server keeps
Named = tuple[str, ModelConfig]


def show(networks: Sequence[Named], name: str) -> None:
    """``networks`` are the step before, if any, and the step, by title."""
    st.html(markup.heading("In theory", 2, "section first") + _theory(networks))
    st.html(
        markup.heading("In effect", 2, "section")
        + markup.paragraph(
            "Not every pixel of that square counts alike. The map is the gradient of one position, "
            "the middle one of the last stage before pooling, summed over its channels, with "
            "respect to the image: absolute values, averaged over random images (Luo et al. "
            "2016). Its size is the side of the smallest square around the center that holds a "
            "share of the whole (Ding et al. 2022).",
            "why",
        )
        + markup.paragraph(
            "The networks are initialized, not trained: He et al. 2015 for every step, layer scale "
            "1, batch norms with the statistics of random images. So the maps compare "
            "architectures. Luo et al. saw training widen the field.",
            "faint below",
        )
    )
    _effect(networks, name)


def _theory(networks: Sequence[Named]) -> str:
    fields = [receptive_fields(config) for _, config in networks]
    heads = [title for title, _ in networks] + (["Change"] if len(networks) == 2 else [])
    rows = []
    for parts in zip(*fields, strict=True):
        values = [f"{number(part.size, 0)}" for part in parts]
        if len(parts) == 2:
            values.append(change(parts[1].size, parts[0].size, 0))
        rows.append((parts[-1].part.capitalize(), f"{parts[-1].stride} px", values))
    return markup.fields_table(["After", "Stride", *heads], rows) + markup.paragraph(
        "Side in pixels of the square that can reach one position, along the branches; stride: "
        "pixels between neighboring positions.",
        "faint below",
    )


# The effective field


@st.cache_resource(show_spinner=False)
def _kept() -> dict[ModelConfig, dict[str, Any]]:
    """Fields by config, for all sessions; the oldest go first."""
    return {}


def _effect(networks: Sequence[Named], name: str) -> None:
    distinct = list(dict.fromkeys(config for _, config in networks))
    missing = [config for config in distinct if config not in _kept()]
    if not missing:
        _maps(networks, name)
        return
    if visitors.is_public():
        sentence = (
            "This public explorer measures no fields; start your own to measure these in about ten "
            "seconds:"
        )
        st.html(markup.own_machine(sentence, "python -m roadmap app"))
        return
    reason = fields_refusal(missing)
    asked = builder_work.about(KEY).get("configs")
    if st.session_state.get(KEY) is None or asked != missing:
        if not reason:
            prepare()
        st.button(
            "Measure the effective receptive field",
            key="measure-field",
            on_click=_begin,
            args=(missing,),
            type="primary",
            disabled=bool(reason),
        )
        text = reason or "Takes about ten seconds here; kept afterwards."
        st.html(markup.paragraph(text, "faint"))
        builder_work.follow(KEY, "Differentiating", _keep)  # what was refused
        return
    builder_work.follow(KEY, "Differentiating", _keep)
    if not [config for config in missing if config not in _kept()]:
        _maps(networks, name)
    elif not builder_work.running(KEY):
        st.button("Try again", key="measure-field", on_click=_begin, args=(missing,))


def _begin(configs: list[ModelConfig]) -> None:
    if reason := fields_refusal(configs):  # by now, or the button is forced
        builder_work.refuse(KEY, reason)
        return
    fields = [config.to_dict() for config in configs]
    builder_work.begin(KEY, Job("effective_fields", configs=fields, cell=CELL), configs=configs)


def _keep(job: Job) -> None:
    kept = _kept()
    for config, field in zip(builder_work.about(KEY)["configs"], job.result["fields"], strict=True):
        kept[config] = {**field, "image_size": job.result["image_size"]}
    while len(kept) > MOST_KEPT:
        kept.pop(next(iter(kept)))
    st.session_state.pop(KEY, None)


def _maps(networks: Sequence[Named], name: str) -> None:
    fields = [_kept()[config] for _, config in networks]
    st.html(_sizes(networks, fields))
    columns = st.columns(2, gap="large")
    places = ("before", "after") if len(networks) == 2 else ("step",)
    for column, place, (title, config), field in zip(
        columns, places, networks, fields, strict=False
    ):
        with column:
            st.html(markup.heading(title, 3, "subsection"))
            _map(title, config, field, f"{name}-field-{place}")
    st.html(_legend(fields[-1], min(receptive_fields(config)[-1].size for _, config in networks)))


def _map(title: str, config: ModelConfig, field: dict[str, Any], name: str) -> None:
    import pandas as pd

    theoretical = receptive_fields(config)[-1].size
    sides = [(float(share), field["sides"][share]) for share in DRAWN]
    figure.show(
        field_map(field["cells"], CELL, field["center"], sides, theoretical),
        pd.DataFrame(field["cells"]),
        name,
        f"Heat map of the effective receptive field of {title}. "
        + " ".join(
            f"{100 * share:.0f}% lies within {side} by {side} pixels." for share, side in sides
        )
        + f" The theoretical field is {theoretical} by {theoretical}.",
    )


def _sizes(networks: Sequence[Named], fields: Sequence[dict[str, Any]]) -> str:
    """Sides of the squares, and the share of the theoretical field that half of it takes."""
    heads = [title for title, _ in networks] + (["Change"] if len(networks) == 2 else [])
    rows = []
    for share in fields[0]["sides"]:
        sides = [field["sides"][share] for field in fields]
        values = [number(side, 0) for side in sides]
        if len(sides) == 2:
            values.append(change(sides[1], sides[0], 0))
        rows.append((f"Side of the square that holds {100 * float(share):.0f}%", "pixels", values))
    ratios = [
        100 * (field["sides"]["0.5"] / receptive_fields(config)[-1].size) ** 2
        for (_, config), field in zip(networks, fields, strict=True)
    ]
    values = [number(ratio, 1) for ratio in ratios]
    if len(ratios) == 2:
        values.append(change(ratios[1], ratios[0], 1))
    rows.append(("Area of the one that holds 50%, of the theoretical", "%", values))
    return markup.fields_table(["", "Unit", *heads], rows)


def _legend(field: dict[str, Any], theoretical: int) -> str:
    side = field["image_size"]
    dash = '<span><i class="dash"></i>theoretical field</span>' if theoretical < side else ""
    return (
        '<p class="faint legend"><span><i class="ramp"></i>0 to 1 of the largest</span>'
        f'<span><i class="outline"></i>smallest square that holds 20%, 50%</span>{dash}</p>'
        + markup.paragraph(
            f"Averaged over {field['images']} image{'s' * (field['images'] != 1)} of noise, "
            f"{side} × {side} pixels; only what is inside the image counts.",
            "faint",
        )
    )
