"""Training that a page started ends with the tests, even if these are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Waits until the tests' process closes the pipe or dies. The workers end with their sweep.
GUARD = """
import os, signal, sys
from pathlib import Path
from roadmap.sweep import background

os.read(0, 1)
root = Path(sys.argv[1])
if background.is_running(root):
    os.kill(background.read_task(root).pid, signal.SIGKILL)
"""


@contextmanager
def ended_tasks(root: Path) -> Iterator[None]:
    """Kill the task in ``root`` that still runs afterwards, or when this process dies."""
    command = [sys.executable, "-c", GUARD, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        yield  # leaving closes the pipe and waits for the guard
