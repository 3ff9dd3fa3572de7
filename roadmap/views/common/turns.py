"""Who works when: sessions that ask without a pause take turns.

Streamlit runs the scripts of all sessions as threads of one interpreter. Ten programs that ask
again as soon as they are answered would make everyone wait ten times as long. They are told by what
no reader does, no pause between an answer and the next request, and work one at a time; a reader
then shares the processor with one of them. A reader who clicks faster than that takes turns as
well, which is felt only while such programs are there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec

import streamlit as st

P = ParamSpec("P")
#: A mean pause, in seconds, under which a session takes turns, and what a new session is taken to
#: make. On a busy server a program's next request takes half a second to come.
HASTY, FIRST = 0.7, 1.0
#: Seconds after which a session works without its turn.
LONGEST = 10.0
_one = threading.Lock()
_working = threading.local()


@dataclass
class Pace:
    """The pauses of a session: half of the mean is the last one, a quarter the one before."""

    pause: float = FIRST
    answered: float | None = None

    def ask(self, now: float) -> bool:
        """Whether the session that asks ``now`` has to take its turn."""
        if self.answered is not None:
            self.pause = (self.pause + min(now - self.answered, 3 * FIRST)) / 2
        return self.pause < HASTY


@contextmanager
def turn() -> Iterator[None]:
    """Around what answers a session: it waits where the session makes no pauses."""
    if getattr(_working, "now", False):  # a part of a page that already has its turn
        yield
        return
    pace = st.session_state.setdefault("pace", Pace())
    waits = pace.ask(time.monotonic()) and _one.acquire(timeout=LONGEST)
    _working.now = True
    try:
        yield
    finally:
        _working.now = False
        if waits:
            _one.release()
        pace.answered = time.monotonic()


def fragment(part: Callable[P, None]) -> Callable[P, None]:
    """``st.fragment`` whose runs take turns, for a part of a page that answers controls."""

    @wraps(part)
    def answering(*args: P.args, **kwargs: P.kwargs) -> None:
        with turn():
            part(*args, **kwargs)

    return st.fragment(answering)
