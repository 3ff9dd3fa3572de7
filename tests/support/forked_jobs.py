"""In a Streamlit server: the processes of background jobs are forked, as in ``forked``."""

from __future__ import annotations

import subprocess
from multiprocessing import forkserver, spawn
from typing import Any

from fork_server import PROCESSES
from forked import Forked, _Python

WORKER = "roadmap.background.worker"
_prepared = spawn.get_preparation_data


def _without_main(name: str) -> dict[str, Any]:
    """What a forked process is told: nothing of the page's script, which it would run."""
    found = _prepared(name)
    return {key: value for key, value in found.items() if not key.startswith("init_main")}


class _Jobs(Forked):
    """Forks jobs of the queue; other processes, such as that of previews, start as usual."""

    def _execute_child(self, command: Any, *rest: Any) -> None:
        if WORKER in command:
            super()._execute_child(command, *rest)
        else:
            super(_Python, self)._execute_child(command, *rest)


def fork_jobs(*libraries: str) -> None:
    """Start the fork server, which imports ``libraries``."""
    spawn.get_preparation_data = _without_main
    PROCESSES.set_forkserver_preload(list(libraries))
    forkserver.ensure_running()
    subprocess.Popen = _Jobs  # type: ignore[misc]
