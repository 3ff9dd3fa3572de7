"""Temporary folders that are removed even if the process that created them was killed."""

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
except ImportError:  # without these locks, as on Windows, ended processes cannot be recognized
    fcntl = None  # type: ignore[assignment]

PREFIX, LOCK = "roadmap-work-", "lock"
#: Longest time in seconds between creating a folder and locking it.
NEW = 60.0
_MAKING = threading.Lock()


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """Create a folder that is removed with the object, when this process exits, or by the ``sweep``
    of another process."""
    with _MAKING:
        own = _own()[0]
    return tempfile.TemporaryDirectory(dir=own.name, ignore_cleanup_errors=True)


@cache
def _own() -> tuple[tempfile.TemporaryDirectory[str], Any]:
    """Return this process's folder and the lock that it holds while it runs."""
    sweep()
    folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    path = Path(folder.name) / LOCK
    lock = path.with_suffix(".new").open("w")
    if fcntl is not None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path.with_suffix(".new").rename(path)  # visible only once locked
    return folder, lock


@cache
def sweep() -> None:
    """Remove folders of killed processes; runs once per process."""
    _sweep(Path(tempfile.gettempdir()))


def _sweep(parent: Path) -> None:
    if fcntl is None:
        return
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # removed by another process, or not ours
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
