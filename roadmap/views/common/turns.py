"""Fair scheduling: sessions that send requests without a pause take turns.

Streamlit runs the scripts of all sessions as threads of one interpreter. Ten programs that send
the next request as soon as the last is answered would make everyone wait ten times as long. They
are recognized by the missing pauses and run one at a time, so a reader shares the processor with
only one of them, and while there are readers, that one rests as long as it has worked. A reader who
clicks that fast takes turns too, but only notices it while others are active.
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
#: Mean pause, in seconds, below which a session takes turns, and the one assumed for a new
#: session. On a busy server a program's next request takes half a second to arrive.
HASTY, FIRST = 0.7, 1.0
#: Seconds after which a session stops waiting for its turn.
LONGEST = 10.0
#: Seconds for which a request of a reader counts as presence, and the longest rest.
PRESENT, LONGEST_REST = 3.0, 1.0
_one = threading.Lock()
_working = threading.local()
#: When a session that makes pauses last sent a request.
_reader_seen = float("-inf")


@dataclass
class Pace:
    """A session's mean pause, in which each pause weighs twice as much as the one before it."""

    pause: float = FIRST
    answered: float | None = None

    def ask(self, now: float) -> bool:
        """Whether the session that sends a request ``now`` must wait for its turn."""
        if self.answered is not None:
            self.pause = (self.pause + min(now - self.answered, 3 * FIRST)) / 2
        return self.pause < HASTY


@contextmanager
def turn() -> Iterator[None]:
    """Wait for a turn if the session makes no pauses, and hold it inside the block."""
    global _reader_seen
    if getattr(_working, "now", False):  # part of a page that already has its turn
        yield
        return
    pace = st.session_state.setdefault("pace", Pace())
    hasty = pace.ask(time.monotonic())
    if not hasty:
        _reader_seen = time.monotonic()
    waits = hasty and _one.acquire(timeout=LONGEST)
    began = time.monotonic()
    _working.now = True
    try:
        yield
    finally:
        _working.now = False
        if waits:
            _rest(time.monotonic() - began)
            _one.release()
        pace.answered = time.monotonic()


def _rest(worked: float) -> None:
    """Leave the processor to readers, if there are any, for as long as it was used."""
    if time.monotonic() - _reader_seen < PRESENT:
        time.sleep(min(worked, LONGEST_REST))


def fragment(part: Callable[P, None]) -> Callable[P, None]:
    """Wrap ``st.fragment`` so that the fragment's runs take turns."""

    @wraps(part)
    def answering(*args: P.args, **kwargs: P.kwargs) -> None:
        with turn():
            part(*args, **kwargs)

    return st.fragment(answering)
