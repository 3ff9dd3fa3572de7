"""The lock on a run folder, which a process holds while it trains there."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import IO, Any

from roadmap.errors import FolderInUseError, RefusedError

try:
    import fcntl
except ImportError:  # not available on Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
#: Seconds to retry a lock, which processes that only test it hold for a moment.
PATIENCE = 0.5


class FolderLock:
    """While entered, no other process trains in ``folder``; the lock ends with the process.

    ``exists`` says whether locks work: not on every file system, and not on Windows. Raises
    ``FolderInUseError`` if another process trains there, and ``RefusedError`` if it cannot be
    written.
    """

    def __init__(self, folder: Path):
        self.exists = False
        self._folder = folder
        self._file: Any = None

    def __enter__(self) -> FolderLock:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = open_lock(self._folder, "w")
        except OSError as error:
            raise RefusedError(f"cannot write to {self._folder}: {error.strerror}") from None
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


def is_locked(folder: Path) -> bool | None:
    """Return whether another process is training in ``folder``; None if this cannot be determined.

    Do not call this in a process that is training there: closing the file would release its lock.
    """
    if fcntl is None:
        return None
    try:
        file = open_lock(folder, "r")
    except FileNotFoundError:
        return False
    except OSError:
        return None
    with file:
        taken = _lock(file, fcntl.LOCK_SH)  # released with the file
    return None if taken is None else not taken


def open_lock(folder: Path, mode: str) -> IO[str]:
    """Open the lock file of ``folder``. Raises ``OSError``, also for a pipe, which would block."""
    return open(folder / LOCK, mode, opener=_without_blocking)


def take(file: IO[str]) -> bool | None:
    """Lock ``file``. Returns False if another process holds the lock, None if locks do not work."""
    return _lock(file, fcntl.LOCK_EX) if fcntl else None


def _without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


def _lock(file: IO[str], kind: int) -> bool | None:
    try:
        # A record lock: unlike with flock, data loading workers do not inherit it.
        fcntl.lockf(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        held = error.errno in (errno.EACCES, errno.EAGAIN)
        return False if held else None  # not every file system supports locks
    return True
