"""Background jobs on the page: progress and canceling. A session has one job per key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from roadmap.background.queue import KEPT, Job
from roadmap.errors import RefusedError
from roadmap.text import duration
from roadmap.views.common import markup

POLL = 0.7  # seconds between updates of a running job
QUEUED = "Waiting for another measurement or export on this machine to finish."


def running(key: str) -> bool:
    """Whether the session's job ``key`` is still waiting or running."""
    job = st.session_state.get(key)
    return job is not None and not job.ended


def begin(key: str, job: Job, request: Mapping[str, Any] | None = None, **about: Any) -> None:
    """Start ``job`` as the session's job ``key``; ``about`` is stored with it.

    ``request`` adds fields to the request. If the job is refused, ``follow`` shows why.
    """
    stop(key)
    st.session_state.pop(f"{key}-refused", None)
    job.wanted = _session()
    try:
        job.start(**(request or {}))
    except RefusedError as error:
        refuse(key, str(error))
        return
    st.session_state[key] = job
    st.session_state[f"{key}-about"] = about


def refuse(key: str, reason: str) -> None:
    """Have ``follow`` show once why the job ``key`` was not started."""
    st.session_state[f"{key}-refused"] = reason


def refusal(key: str) -> str:
    """Return once why the job ``key`` was not started, or an empty string."""
    return str(st.session_state.pop(f"{key}-refused", ""))


def _session() -> Callable[[], bool]:
    """Return a function that says whether the page is still open."""
    context = get_script_run_ctx()
    session = context.session_id if context else ""
    # Streamlit's test harness has a runtime only while the script runs.
    return lambda: not runtime.exists() or runtime.get_instance().is_active_session(session)


def stop(key: str) -> None:
    """Cancel the session's job ``key``, or remove its files if it has ended."""
    job = st.session_state.pop(key, None)
    if job is None:
        return
    if job.ended:
        job.discard()
    else:
        job.cancel()


def about(key: str) -> dict[str, Any]:
    """Return the ``about`` of the session's job ``key``."""
    return st.session_state.get(f"{key}-about", {})


def follow(key: str, doing: str, on_end: Callable[[Job], None]) -> None:
    """Show a progress bar with a cancel button while the job runs; call ``on_end`` once done.

    ``doing`` describes the work for the reader. A failed job shows its error message.
    """
    if reason := refusal(key):
        st.html(markup.notice(reason))
    job = st.session_state.get(key)
    if job is None:
        return
    if job.ended:
        outcome(job, on_end)
        return
    st.fragment(_progress, run_every=POLL)(key, doing)


def outcome(job: Job, on_end: Callable[[Job], None], subject: str = "") -> None:
    """Call ``on_end`` if ``job`` is done; otherwise say, after ``subject``, how it ended."""
    if job.state == "done":
        on_end(job)
    elif job.state == "failed":
        st.html(markup.notice(subject + job.error))
    elif job.state == "expired":
        text = f"{subject}The file was deleted after {KEPT / 60:.0f} minutes. Create it again."
        st.html(markup.paragraph(text, "faint"))
    else:
        st.html(markup.paragraph(f"{subject}Canceled.", "faint"))


def _progress(key: str, doing: str) -> None:
    job = st.session_state.get(key)
    if job is None or job.ended:
        st.rerun()  # the whole page, which then stops polling
    waiting = job.look() == "waiting"
    share = job.done / job.total if job.total else 0.0
    steps = f", {job.done} of {job.total} runs" if job.total > 1 else ""
    left = "" if job.seconds_left is None else f", about {duration(job.seconds_left)} left"
    st.progress(share, QUEUED if waiting else f"{doing}{steps}{left}")
    st.button("Cancel", key=f"cancel-{key}", on_click=job.cancel)
