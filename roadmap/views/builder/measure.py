"""Images/s of the built network, on the machine that serves the page."""

from __future__ import annotations

from typing import Any

import streamlit as st

from models.config import ModelConfig
from roadmap import visitors
from roadmap.background.queue import Job
from roadmap.measure.limits import measuring_refusal, refusal
from roadmap.text import number
from roadmap.views.common import markup, press, work
from roadmap.views.common.number_field import number_field

KEY = "measuring"
BATCH_SIZES = (1, 256)
MOST_KEPT = 50  # measurements per session
NOTE = (
    "Median and 10th to 90th percentile of ten runs after five warm-up runs; float32, random "
    "images, no stochastic depth. Other work on this machine slows it down."
)


def show(config: ModelConfig, image_size: int, name: str) -> None:
    """Show the section; ``name`` is the table's name for ``config``."""
    if visitors.is_public():
        sentence = (
            "Measuring is disabled on this public explorer. Start your own to measure a network on "
            "your device:"
        )
        st.html(markup.own_machine(sentence, "python -m roadmap app"))
        return
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        mode = st.segmented_control(
            "Mode",
            ("inference", "training"),
            default="inference",
            format_func=str.capitalize,
            required=True,
            key="measure-mode",
        )
        batch_size, wrong = number_field(
            "Batch size", *BATCH_SIZES, "measure-batch", value=8, width=130
        )
        reason = wrong or _refusal(config, image_size, mode, batch_size)
        press.button(
            "Measure",
            _begin,
            config,
            image_size,
            mode,
            batch_size,
            name,
            disabled=bool(reason) or work.running(KEY),
            key="measure",
        )
    if reason:
        st.html(markup.refusal(reason) if wrong else markup.paragraph(reason, "faint"))
    told = work.about(KEY)
    work.follow(KEY, f"Measuring {told.get('name')}, {told.get('mode')}", _keep)
    _table()


def _refusal(config: ModelConfig, image_size: int, mode: str, batch_size: int) -> str:
    return refusal(config, image_size) or measuring_refusal(config, mode, batch_size, image_size)


def _begin(config: ModelConfig, image_size: int, mode: str, batch_size: int, name: str) -> None:
    if reason := _refusal(config, image_size, mode, batch_size):  # or a program pressed the button
        work.refuse(KEY, reason)
        return
    setting = {"mode": mode, "batch_size": batch_size, "image_size": image_size}
    job = Job("measure", config=config.to_dict(), setting=setting)
    work.begin(KEY, job, name=name, mode=mode, image_size=image_size)


def _keep(job: Job) -> None:
    """Add the result to the session's table, once."""
    st.session_state.pop(KEY)
    measured = st.session_state.setdefault("measured", [])
    measured.insert(0, {**work.about(KEY), **job.result})
    del measured[MOST_KEPT:]


def _table() -> None:
    measured: list[dict[str, Any]] = st.session_state.get("measured", [])
    if measured:
        head = ("Network", "Mode", "Batch", "Pixels", "Images/s", "10th–90th", "GB")
        st.html(markup.recipe_table(head, [_row(result) for result in measured]))
        notes = dict.fromkeys(result["note"] for result in measured if result["note"])
        st.html(markup.paragraph(" ".join([f"{measured[0]['device']}.", NOTE, *notes]), "faint"))


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    decimals = 0 if result["images_per_s"] >= 100 else 1
    spread = "\u202f–\u202f".join(number(result[end], decimals) for end in ("low", "high"))
    return (
        result["name"],
        result["mode"],
        str(result["batch_size"]),
        str(result["image_size"]),
        number(result["images_per_s"], decimals),
        spread,
        number(result["peak_memory_gb"], 2),
    )
