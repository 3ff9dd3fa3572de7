"""Work in a process of its own, on the page: progress, cancelling, one at a time in a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from roadmap.jobs import Job
from roadmap.views import markup

POLL = 0.7  # seconds between looks at a running job
QUEUED = "Another measurement or export is running on this machine; this one starts when it ends."


def running(key: str) -> bool:
    """Whether the session's job ``key`` has not ended yet."""
    job = st.session_state.get(key)
    return job is not None and not job.ended


def begin(key: str, job: Job, **about: Any) -> None:
    """Make ``job``, already started, the session's job ``key``; ``about`` is kept beside it."""
    stop(key)
    st.session_state[key] = job
    st.session_state[f"{key}-about"] = about


def stop(key: str) -> None:
    if running(key):
        st.session_state[key].cancel()
        st.session_state.pop(key)


def about(key: str) -> dict[str, Any]:
    """What ``begin`` was told of the session's job ``key``."""
    return st.session_state.get(f"{key}-about", {})


def follow(key: str, doing: str, on_end: Callable[[Job], None]) -> None:
    """A progress bar with a cancel button while the job runs; ``on_end`` once it is done.

    ``doing`` says what is being done, for people. A job that failed shows its sentence.
    """
    job = st.session_state.get(key)
    if job is None:
        return
    if job.ended:
        if job.state == "done":
            on_end(job)
        elif job.state == "failed":
            st.html(markup.notice(job.error))
        else:
            st.html(markup.paragraph("Cancelled.", "faint"))
        return
    st.fragment(_progress, run_every=POLL)(key, doing)


def _progress(key: str, doing: str) -> None:
    job = st.session_state.get(key)
    if job is None or job.ended:
        st.rerun()  # the whole page, which then no longer polls
    waiting = job.look() == "waiting"
    share = job.done / job.total if job.total else 0.0
    steps = f", {job.done} of {job.total} runs" if job.total > 1 else ""
    st.progress(share, QUEUED if waiting else f"{doing}{steps}")
    st.button("Cancel", key=f"cancel-{key}", on_click=job.cancel)
