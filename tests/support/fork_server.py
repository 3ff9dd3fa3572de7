"""Processes forked from one that has imported torch and MLflow but never used them.

They are real ones, really killed, without the seconds that the imports take.
"""

from __future__ import annotations

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["roadmap.train.run", "mlflow.store.tracking.sqlalchemy_store"])
