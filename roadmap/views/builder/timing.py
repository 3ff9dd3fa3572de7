"""How much longer a training step of B takes than one of A, on the machine that serves the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from models.config import ModelConfig
from roadmap import visitors
from roadmap.background.queue import Job
from roadmap.measure.limits import comparing_refusal, refusal
from roadmap.text import number
from roadmap.views.common import markup, press, work
from roadmap.views.common.builder_address import Builder, Chosen

KEY = "timing"
BATCH = 8
MOST_KEPT = 200  # pairs that the server keeps
DEVICES = {"cuda": "GPU", "mps": "GPU", "cpu": "CPU"}
SMALLER = f"{BATCH} images would have taken too long here."
BUSY = (
    "The times varied by more than a quarter, probably because this machine was busy: measure "
    "again when it is idle."
)

Pair = tuple[ModelConfig, ModelConfig, int]


def words(builder: Builder, b: Chosen) -> tuple[str, ...]:
    """Return the measured ratio in words, such as ``1.3 times the training time on this GPU``;
    nothing before it is measured."""
    _collect()
    found = _kept().get(_pair(builder, b))
    return (in_words(found),) if found else ()


def in_words(found: Mapping[str, Any]) -> str:
    """Return a measured ratio in words; percentiles that include 1 tell no difference."""
    on = f"on this {DEVICES[found['kind']]}"
    if found["low"] <= 1 <= found["high"]:
        return f"about the same training time {on}"
    decimals = 1 if found["ratio"] >= 1.1 else 2
    return f"{number(found['ratio'], decimals)} times the training time {on}"


def show(builder: Builder, b: Chosen) -> None:
    """Show how the ratio was measured, and the button that measures it."""
    found = _kept().get(_pair(builder, b))
    if found:
        st.html(markup.paragraph(_details(found, builder.image_size), "faint"))
    if visitors.is_public():
        return
    reason = _refusal(builder, b)
    press.button(
        "Measure again" if found else "Measure training time of A and B",
        _begin,
        builder,
        b,
        key="measure-pair",
        disabled=bool(reason) or work.running(KEY),
    )
    if reason:
        st.html(markup.paragraph(reason, "faint"))
    work.follow(KEY, "Measuring A and B in turn", lambda _: None)


def _details(found: Mapping[str, Any], image_size: int) -> str:
    seconds = " and ".join(
        f"{name} {number(1000 * time, 0 if time > 0.1 else 1)} ms"
        for name, time in zip("AB", found["seconds"], strict=True)
    )
    ends = " to ".join(number(found[end], 2) for end in ("low", "high"))
    said = (
        f"Training time: median of {found['rounds']} rounds of A and B in turn, with 10th to 90th "
        f"percentile {ends}; {seconds} per step of {found['batch_size']} random images of "
        f"{image_size} × {image_size} pixels in float32, without data loading; {found['device']}."
    )
    notes = [SMALLER] * (found["batch_size"] < BATCH) + [BUSY] * found["busy"]
    return " ".join((said, *notes))


def _pair(builder: Builder, b: Chosen) -> Pair:
    return builder.a.config, b.config, builder.image_size


@st.cache_resource(show_spinner=False)
def _kept() -> dict[Pair, dict[str, Any]]:
    """Return the pairs measured since the server started."""
    return {}


def _refusal(builder: Builder, b: Chosen) -> str:
    """Return why the pair cannot be measured here, or an empty string."""
    a, other, size = _pair(builder, b)
    if a.in_channels != other.in_channels:
        return "The training times of networks with different input channels are not compared."
    try:
        alone = refusal(a, size) or refusal(other, size)
        return alone or comparing_refusal((a, other), BATCH, size)
    except ValueError as error:  # the image is too small for one of them
        return str(error)


def _begin(builder: Builder, b: Chosen) -> None:
    if reason := _refusal(builder, b):  # or a program pressed the button
        work.refuse(KEY, reason)
        return
    pair = _pair(builder, b)
    setting = {"batch_size": BATCH, "image_size": builder.image_size}
    job = Job("compare", configs=[config.to_dict() for config in pair[:2]], setting=setting)
    work.begin(KEY, job, pair=pair)


def _collect() -> None:
    """Keep the result of the session's job, if it has one."""
    job = st.session_state.get(KEY)
    if job is None or job.state != "done":
        return
    kept = _kept()
    kept[work.about(KEY)["pair"]] = st.session_state.pop(KEY).result
    while len(kept) > MOST_KEPT:
        kept.pop(next(iter(kept)))
