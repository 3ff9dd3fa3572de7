"""Stopping when asked, and one run to a folder."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from roadmap.train.errors import RefusedError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

LOCK = ".lock"


class Signals:
    """While entered, ``number`` becomes the signal that first asks to stop (SIGINT, SIGTERM).

    The second one acts at once, as if this were not there.
    """

    WATCHED = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        self._before = {number: signal.signal(number, self._note) for number in self.WATCHED}
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: Any) -> None:
        self.number = number
        for watched in self.WATCHED:
            signal.signal(watched, signal.SIG_DFL)


def is_locked(folder: Path) -> bool | None:
    """Whether another process trains in ``folder``; None where that cannot be told.

    Not for a process that trains there itself: closing the file would let go of its lock.
    """
    if fcntl is None:
        return None
    try:
        file = (folder / LOCK).open()
    except FileNotFoundError:
        return False
    except OSError:
        return None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go with the file
        except BlockingIOError:
            return True
        except OSError:  # not every file system has locks
            return None
    return False


class FolderLock:
    """While entered, no other process trains in ``folder``; a process that dies lets go.

    Raises ``RefusedError`` where one does, and ``OSError`` where the folder cannot be written.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._file: Any = None

    def __enter__(self) -> FolderLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = (self._folder / LOCK).open("w")
        if fcntl is not None:
            try:
                # A record lock: unlike flock's, data loading workers do not inherit it.
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._file.close()
                raise RefusedError(
                    f"another process is training in {self._folder}: wait, or use another --output"
                ) from None
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()
