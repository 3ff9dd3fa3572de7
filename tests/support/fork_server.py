"""Processes forked from one that has imported torch but never used it.

They are real ones, really killed, without the seconds that the import takes.
"""

from __future__ import annotations

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["roadmap.train.run"])
