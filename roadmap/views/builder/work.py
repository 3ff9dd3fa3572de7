"""Work in a process of its own, on the page: progress, canceling, one at a time in a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from roadmap.background.queue import KEPT, Job
from roadmap.train.errors import RefusedError
from roadmap.views.common import markup

POLL = 0.7  # seconds between looks at a running job
QUEUED = "Another measurement or export is running on this machine; this one starts when it ends."


def running(key: str) -> bool:
    """Whether the session's job ``key`` has not ended yet."""
    job = st.session_state.get(key)
    return job is not None and not job.ended


def begin(key: str, job: Job, request: Mapping[str, Any] | None = None, **about: Any) -> None:
    """Start ``job`` as the session's job ``key``; ``about`` is kept beside it.

    ``request`` adds to what was asked. Where it is refused, ``follow`` says why.
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
    """Have ``follow`` say once why the job ``key`` was not started."""
    st.session_state[f"{key}-refused"] = reason


def _session() -> Callable[[], bool]:
    """Whether somebody still has the page open, to be asked at any time."""
    context = get_script_run_ctx()
    session = context.session_id if context else ""
    return lambda: runtime.exists() and bool(runtime.get_instance().is_active_session(session))


def stop(key: str) -> None:
    """Cancel the session's job ``key``, or remove its files."""
    job = st.session_state.pop(key, None)
    if job is None:
        return
    if job.ended:
        job.discard()
    else:
        job.cancel()


def about(key: str) -> dict[str, Any]:
    """What ``begin`` was told of the session's job ``key``."""
    return st.session_state.get(f"{key}-about", {})


def follow(key: str, doing: str, on_end: Callable[[Job], None]) -> None:
    """A progress bar with a cancel button while the job runs; ``on_end`` once it is done.

    ``doing`` says what is being done, for people. A job that failed shows its sentence.
    """
    if reason := st.session_state.pop(f"{key}-refused", ""):
        st.html(markup.notice(reason))
    job = st.session_state.get(key)
    if job is None:
        return
    if job.ended:
        if job.state == "done":
            on_end(job)
        elif job.state == "failed":
            st.html(markup.notice(job.error))
        elif job.state == "expired":
            text = f"The file was kept for {KEPT / 60:.0f} minutes. Make it again."
            st.html(markup.paragraph(text, "faint"))
        else:
            st.html(markup.paragraph("Canceled.", "faint"))
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
