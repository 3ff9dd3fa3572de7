"""Train small versions of the steps from the page; the Ablations page shows the results."""

from __future__ import annotations

import streamlit as st

from roadmap import visitors
from roadmap.steps import ROADMAPS
from roadmap.views.ablations import data as ablations_data
from roadmap.views.common import address, markup
from roadmap.views.common.controls import select
from roadmap.views.training import work

LEAD = (
    "Train small versions of the steps on handwritten digits, on the CPU, one run at a time. "
    "Training continues when this page is closed. To resume a stopped run, start it again."
)
OWN_DATA = "PATH is a folder with train/CLASS/*.jpg and val/CLASS/*.jpg:"


def show() -> None:
    st.html(
        markup.heading("Training", 1, "title")
        + ("" if visitors.is_public() else markup.paragraph(LEAD, "lead"))
    )
    found = ablations_data.read()
    work.note_shown(found)
    roadmap = _roadmap()
    work.show(roadmap)
    command = f"python -m roadmap sweep --roadmap {roadmap} --data PATH"
    with st.expander("Train on your own images"):
        st.html(markup.own_machine(OWN_DATA, command))


def _roadmap() -> str:
    roadmap, problem = address.option(st.query_params, "roadmap", tuple(ROADMAPS))
    if problem:
        st.html(markup.notice(problem))
    titles = {name: ROADMAPS[name].title for name in ROADMAPS}
    select("training", "roadmap", "Roadmap", titles, roadmap, width=300)
    return roadmap
