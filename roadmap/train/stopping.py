"""Stopping on request, and the lock that allows one run per folder."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from roadmap.errors import FolderInUseError
from roadmap.runs.lock import open_lock, take

#: Seconds to retry a lock, which processes that only test it hold for a moment.
PATIENCE = 0.5


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


class FolderLock:
    """While entered, no other process trains in ``folder``; the lock ends with the process.

    ``exists`` says whether locks work: not on every file system, and not on Windows. Raises
    ``FolderInUseError`` if another process trains there, and ``OSError`` if it cannot be written.
    """

    def __init__(self, folder: Path):
        self.exists = False
        self._folder = folder
        self._file: Any = None

    def __enter__(self) -> FolderLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = open_lock(self._folder, "w")
        end = time.monotonic() + PATIENCE
        while (taken := take(self._file)) is False and time.monotonic() < end:
            time.sleep(0.05)
        if taken is False:
            self._file.close()
            raise FolderInUseError(
                f"another process is training in {self._folder}: wait, or use another --output"
            )
        self.exists = taken is True
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()
