"""Limit the total size of uploads: Streamlit only limits the size of each file."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from streamlit import runtime

#: Most bytes of one session's files, and of all files.
MOST_OF_SESSION, MOST = 80 * 2**20, 120 * 2**20
_BOUNDING = threading.Lock()


def bound() -> None:
    """Install the limit in the running server, once."""
    with _BOUNDING:
        manager: Any = runtime.get_instance().uploaded_file_mgr if runtime.exists() else None
        if hasattr(manager, "add_file") and not hasattr(manager, "roadmap_ledger"):
            manager.roadmap_ledger = Ledger(manager)


class Ledger:
    """Wraps ``manager``'s ``add_file``; files over the limit replace older ones.

    A session over its limit loses its own oldest files. If all sessions together are over the
    limit, the largest one does, so that a session that fills the memory displaces no other.
    """

    def __init__(self, manager: Any):
        self._manager, self._lock = manager, threading.RLock()
        #: Bytes by file, oldest first, by session.
        self._sizes: dict[str, OrderedDict[str, int]] = {}
        for session, files in getattr(manager, "file_storage", {}).items():
            sizes = {name: len(file.data) for name, file in files.items()}
            self._sizes[session] = OrderedDict(sizes)
        self._add, self._remove = manager.add_file, manager.remove_file
        self._forget = manager.remove_session_files
        manager.add_file = self.add_file
        manager.remove_file = self.remove_file
        manager.remove_session_files = self.remove_session_files

    def add_file(self, session_id: str, file: Any) -> None:
        with self._lock:
            sizes = self._sizes.setdefault(session_id, OrderedDict())
            sizes.pop(file.file_id, None)
            sizes[file.file_id] = len(file.data)
            self._add(session_id, file)
            while sum(sizes.values()) > MOST_OF_SESSION:
                self._drop_oldest(session_id)
            totals = {session: sum(own.values()) for session, own in self._sizes.items()}
            while sum(totals.values()) > MOST:
                largest = max(totals, key=totals.__getitem__)
                totals[largest] -= self._drop_oldest(largest)

    def remove_file(self, session_id: str, file_id: str) -> None:
        with self._lock:
            self._sizes.get(session_id, OrderedDict()).pop(file_id, None)
            self._remove(session_id, file_id)

    def remove_session_files(self, session_id: str) -> None:
        with self._lock:
            self._sizes.pop(session_id, None)
            self._forget(session_id)

    def _drop_oldest(self, session_id: str) -> int:
        name, size = self._sizes[session_id].popitem(last=False)
        self._remove(session_id, name)
        return size
