"""The receptive field of one output position: theoretical by stage, and effective."""

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
from roadmap.views.common import figure, markup, work

KEY = "effective-field"
CELL = 4  # side in pixels of one cell of the map
DRAWN = ("0.2", "0.5")  # shares for which the map shows a square
MOST_KEPT = 128  # networks whose fields the server caches
Named = tuple[str, ModelConfig]


def show(networks: Sequence[Named], name: str) -> None:
    """Show the tab; ``networks`` are the previous step, if any, and the step, with titles."""
    st.html(markup.heading("Theoretical receptive field", 2, "section first") + _theory(networks))
    st.html(
        markup.heading("Effective receptive field", 2, "section")
        + markup.paragraph(
            "Not every pixel in that square matters equally. The map shows the gradient of the "
            "middle position of the last stage, before pooling and summed over its channels, with "
            "respect to the image. It averages absolute values over random images (Luo et al. "
            "2016). The size of the field is the side of the smallest centered square that holds "
            "a given share of the total (Ding et al. 2022).",
            "why",
        )
        + markup.paragraph(
            "The networks are untrained, so the maps compare architectures: initialization of He "
            "et al. 2015 for every step, layer scale 1, batch norm statistics of random images. "
            "Luo et al. found that training widens the field.",
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
        "Side, in pixels, of the square that can influence one position, along the branches. "
        "Stride: pixels between neighboring positions.",
        "faint below",
    )


# The effective field


@st.cache_resource(show_spinner=False)
def _kept() -> dict[ModelConfig, dict[str, Any]]:
    """Return the cache of fields by config, shared by all sessions; the oldest go first."""
    return {}


def _effect(networks: Sequence[Named], name: str) -> None:
    distinct = list(dict.fromkeys(config for _, config in networks))
    missing = [config for config in distinct if config not in _kept()]
    if not missing:
        _maps(networks, name)
        return
    if visitors.is_public():
        sentence = (
            "Measuring is disabled on this public explorer. Start your own to measure these in "
            "about ten seconds:"
        )
        st.html(markup.own_machine(sentence, "python -m roadmap app"))
        return
    reason = fields_refusal(missing)
    asked = work.about(KEY).get("configs")
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
        text = reason or "Takes about ten seconds; the result is cached."
        st.html(markup.paragraph(text, "faint"))
        work.follow(KEY, "Computing gradients", _keep)  # shows a refusal
        return
    work.follow(KEY, "Computing gradients", _keep)
    if not [config for config in missing if config not in _kept()]:
        _maps(networks, name)
    elif not work.running(KEY):
        st.button("Try again", key="measure-field", on_click=_begin, args=(missing,))


def _begin(configs: list[ModelConfig]) -> None:
    if reason := fields_refusal(configs):  # or a program pressed the button
        work.refuse(KEY, reason)
        return
    fields = [config.to_dict() for config in configs]
    work.begin(KEY, Job("effective_fields", configs=fields, cell=CELL), configs=configs)


def _keep(job: Job) -> None:
    kept = _kept()
    for config, field in zip(work.about(KEY)["configs"], job.result["fields"], strict=True):
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
            f"{100 * share:.0f}% of it is within {side} by {side} pixels." for share, side in sides
        )
        + f" The theoretical field is {theoretical} by {theoretical}.",
    )


def _sizes(networks: Sequence[Named], fields: Sequence[dict[str, Any]]) -> str:
    """Return the table of square sides, and the share of the theoretical field that holds half."""
    heads = [title for title, _ in networks] + (["Change"] if len(networks) == 2 else [])
    rows = []
    for share in fields[0]["sides"]:
        sides = [field["sides"][share] for field in fields]
        values = [number(side, 0) for side in sides]
        if len(sides) == 2:
            values.append(change(sides[1], sides[0], 0))
        rows.append(
            (f"Side of the square with {100 * float(share):.0f}% of the total", "pixels", values)
        )
    ratios = [
        100 * (field["sides"]["0.5"] / receptive_fields(config)[-1].size) ** 2
        for (_, config), field in zip(networks, fields, strict=True)
    ]
    values = [number(ratio, 1) for ratio in ratios]
    if len(ratios) == 2:
        values.append(change(ratios[1], ratios[0], 1))
    rows.append(("Area of the 50% square, relative to the theoretical field", "%", values))
    return markup.fields_table(["", "Unit", *heads], rows)


def _legend(field: dict[str, Any], theoretical: int) -> str:
    side = field["image_size"]
    dash = '<span><i class="dash"></i>theoretical field</span>' if theoretical < side else ""
    return (
        '<p class="faint legend"><span><i class="ramp"></i>0 to 1, relative to the maximum</span>'
        f'<span><i class="outline"></i>smallest squares with 20% and 50%</span>{dash}</p>'
        + markup.paragraph(
            f"Average over {field['images']} noise image{'s' * (field['images'] != 1)} of "
            f"{side} × {side} pixels; only pixels inside the image count.",
            "faint",
        )
    )
