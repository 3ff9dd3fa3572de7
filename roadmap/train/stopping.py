"""Stopping on request."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any


class Signals:
    """While entered, ``number`` becomes the first signal that asks to stop (SIGINT, SIGTERM).

    A second signal takes effect at once, as usual.
    """

    WATCHED = (signal.SIGINT, signal.SIGTERM)
    #: Whether the most recent instance was asked to stop.
    asked = False

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        Signals.asked = False
        self._before = {number: signal.signal(number, self._note) for number in self.WATCHED}
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: Any) -> None:
        self.number, Signals.asked = number, True
        for watched in self.WATCHED:
            signal.signal(watched, signal.SIG_DFL)


def ask_to_stop() -> None:
    """Send this process SIGTERM, unless already asked to stop: a second would not save."""
    if not Signals.asked:
        signal.raise_signal(signal.SIGTERM)


def stop_with_parent() -> None:
    """Ask this process to stop as soon as its parent process is found to have died."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        ask_to_stop()

    threading.Thread(target=watch, daemon=True).start()
