"""A pocket sweep on this machine that goes on by itself: started, found again, stopped.

One at a time for everyone who uses the same folder of runs. In its folder ``.background`` are a
lock that the process holds while it lives, what it does (``task.json``) and what it said. Imports
no torch.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from roadmap import visitors
from roadmap.files import read_json
from roadmap.steps import ROADMAPS
from roadmap.tables.results import START
from roadmap.train.errors import RefusedError
from roadmap.train.pocket import EPOCHS

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

FOLDER, LOCK, TASK, OUTPUT = ".background", "lock", "task.json", "output.txt"
#: Behind the server of the pages, which answers people.
NICE = 5
#: Of the output, as much is read from its end.
TAIL = 4000
_TURN = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a background process does: ``steps`` (all where empty) with ``seeds`` on the digits.

    ``pid`` is its process, 0 before there is one; ``stopped`` says that it was asked to stop.
    """

    roadmap: str
    steps: tuple[str, ...]
    seeds: tuple[int, ...]
    epochs: int
    pid: int = 0
    stopped: bool = False

    @property
    def data(self) -> str:
        """The folder of its runs: runs of other lengths cannot be compared."""
        return "digits" if self.epochs == EPOCHS else f"digits-{self.epochs}-epochs"

    @property
    def runs(self) -> tuple[str, ...]:
        """The names of its runs' folders, in their order."""
        keys = self.steps or ROADMAPS[self.roadmap].keys
        return tuple(f"{self.roadmap}-{key}-seed{seed}" for seed in self.seeds for key in keys)

    def command(self, root: Path) -> list[str]:
        """What starts it; ``root`` is the folder of the data sets' folders."""
        words = [sys.executable, "-m", "roadmap", "sweep", "--roadmap", self.roadmap]
        words += [word for step in self.steps for word in ("--step", step)]
        words += ["--seeds", *map(str, self.seeds), "--scale", "pocket", "--device", "cpu"]
        if self.epochs != EPOCHS:
            words += ["--epochs", str(self.epochs)]
        return [*words, "--output", str((root / self.data).absolute())]


def start(root: Path, task: Task) -> None:
    """Begin ``task``; it outlives this process. Raises ``RefusedError`` with a sentence."""
    visitors.require_owner("Training")
    if fcntl is None:
        raise RefusedError("Training cannot be started from here on Windows: use the command line.")
    folder = root / FOLDER
    with _TURN:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / LOCK).open("w") as lock:
                # The process inherits the open file and with it the lock: whatever ends it lets
                # go, so that there are no locks of the dead, and its number is surely its own.
                _lock(lock, folder)
                with (folder / OUTPUT).open("w") as output:
                    _begin(root, task, lock, output)
        except BlockingIOError:
            raise RefusedError("One is running already: wait for it, or stop it.") from None
        except OSError as error:
            raise RefusedError(f"Training cannot be started: {error.strerror}.") from None


def _lock(lock: Any, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        raise RefusedError(
            f"Training cannot be started from here: {folder} is on a file system without locks, "
            "by which it would be found again. Use the command line."
        ) from None


def _begin(root: Path, task: Task, lock: Any, output: Any) -> None:
    process = subprocess.Popen(
        task.command(root),
        cwd=START,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        pass_fds=[lock.fileno()],
        start_new_session=True,
    )
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie
    os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    _write(root, {**asdict(task), "pid": process.pid})


def stop(root: Path) -> None:
    """Ask what runs to save and end; nothing where nothing runs.

    Raises ``RefusedError`` for a visitor who may not.
    """
    visitors.require_owner("Stopping a training")
    with _TURN:
        task = read_task(root)
        # Asked twice, it would end without saving.
        if task is None or task.stopped or not _held(root):
            return
        _write(root, {**asdict(task), "stopped": True})
        try:
            os.kill(task.pid, signal.SIGTERM)
        except ProcessLookupError:
            return


def is_running(root: Path) -> bool:
    """Whether the process that was started last still lives."""
    with _TURN:
        return _held(root)


def read_task(root: Path) -> Task | None:
    """What was started last, running or not; None where nothing was or it cannot be told."""
    try:
        found = read_json(root / FOLDER / TASK)
        task = Task(**{**found, "steps": tuple(found["steps"]), "seeds": tuple(found["seeds"])})
        known = set(task.steps) <= set(ROADMAPS[task.roadmap].keys)
        whole = all(isinstance(n, int) for n in (*task.seeds, task.epochs, task.pid))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return task if known and whole and task.seeds and task.epochs > 0 and task.pid > 1 else None


def last_words(root: Path) -> str:
    """The last line that it wrote."""
    try:
        with (root / FOLDER / OUTPUT).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _held(root: Path) -> bool:
    with _opened(root) as lock:
        if lock is None:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go with the file
        except BlockingIOError:
            return True
        except OSError:  # not every file system has locks
            return False
    return False


@contextmanager
def _opened(root: Path) -> Iterator[Any]:
    try:
        file = (root / FOLDER / LOCK).open() if fcntl else None
    except OSError:
        file = None
    try:
        yield file
    finally:
        if file is not None:
            file.close()


def _write(root: Path, content: dict[str, Any]) -> None:
    """Whole or not at all: others read it at any time."""
    path = root / FOLDER / TASK
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
