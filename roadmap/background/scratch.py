"""Temporary folders that go with the process that made them, however it ends."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such locks, and so nothing tells the dead from the living
    fcntl = None  # type: ignore[assignment]

PREFIX, LOCK = "roadmap-work-", "lock"
#: Seconds within which a folder gets its lock.
NEW = 60.0
_MAKING = threading.Lock()


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that is removed with the object, when this process exits, or else by another
    process's ``sweep``."""
    with _MAKING:
        own = _own()[0]
    return tempfile.TemporaryDirectory(dir=own.name, ignore_cleanup_errors=True)


@cache
def _own() -> tuple[tempfile.TemporaryDirectory[str], Any]:
    """This process's folder, and the lock that says that it lives."""
    sweep()
    folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    path = Path(folder.name) / LOCK
    lock = path.with_suffix(".new").open("w")
    if fcntl is not None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path.with_suffix(".new").rename(path)  # seen once it is held
    return folder, lock


@cache
def sweep() -> None:
    """Remove what processes of ours that were killed have left; once in a process."""
    _sweep(Path(tempfile.gettempdir()))


def _sweep(parent: Path) -> None:
    if fcntl is None:
        return
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process removes it, or it is not ours
            state = folder.lstat()
            if stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and _left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _left(folder: Path) -> bool:
    """Whether the process that made ``folder`` has ended."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return time.time() - folder.lstat().st_mtime > NEW
    return True
