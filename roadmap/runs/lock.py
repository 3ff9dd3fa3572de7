"""The lock on a run folder, which a process holds while it trains there."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not available on Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


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
