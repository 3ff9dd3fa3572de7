"""Train steps from the page and watch them; the Ablations page shows the results."""

from __future__ import annotations

import streamlit as st

from roadmap import visitors
from roadmap.steps import ROADMAPS
from roadmap.views.common import address, all_runs, markup
from roadmap.views.training import cards, form

LEAD = "Train steps on this machine and watch them. Training continues when this page is closed."
CLOSED = (
    "Training is disabled on this public explorer. On a laptop, a small version of one step "
    "takes about a minute:"
)


def show() -> None:
    public = visitors.is_public()
    st.html(
        markup.heading("Training", 1, "title") + ("" if public else markup.paragraph(LEAD, "lead"))
    )
    state = cards.show()
    if public:
        _elsewhere()
        return
    if state.running:
        return
    if state.cards:
        st.html(markup.heading("Train more", 2, "section"))
    form.show(all_runs.read(), state.task, cards.cautions(state))


def _elsewhere() -> None:
    roadmap, problem = address.option(st.query_params, "roadmap", tuple(ROADMAPS))
    if problem:
        st.html(markup.notice(problem))
    step = ROADMAPS[roadmap].keys[1]
    st.html(
        markup.own_machine(
            CLOSED,
            f"python -m roadmap train --roadmap {roadmap} --step {step} --scale pocket",
            f"python -m roadmap sweep --roadmap {roadmap} --seeds 0 1 2 --scale pocket",
        )
    )
