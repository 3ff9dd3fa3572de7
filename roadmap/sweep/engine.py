"""Engines, which run the runs of a sweep, and the engine for this machine."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from roadmap.errors import FolderInUseError, TrainingError
from roadmap.sweep.plan import PlannedRun, read_progress

LOG = "train.log"
#: Byte that tells a worker to train; end of file means that the scheduler has died.
TURN = b"."
#: Longest failure reason, in characters, which must fit into a pipe that is not yet read.
MOST_SAID = 2000


@dataclass(frozen=True)
class Ending:
    """How a run ended: an exit code of ``roadmap.errors``, and a reason if it is not 0.

    ``in_use`` means that it was refused because another process is training it.
    """

    run: PlannedRun
    code: int
    reason: str = ""
    in_use: bool = False


def failure_line(error: Exception) -> str:
    """Return the line with which a worker reports its error to ``failed``."""
    reason = str(error)
    if not isinstance(error, TrainingError):
        reason = f"{type(error).__name__}: {reason.strip().partition(chr(10))[0]}"
    in_use = isinstance(error, FolderInUseError)
    return json.dumps({"reason": reason[:MOST_SAID], "in_use": in_use}) + "\n"


def failed(run: PlannedRun, code: int, line: str) -> Ending:
    """Return the ending of a worker with ``code`` and ``failure_line`` (empty if it died)."""
    if line.endswith("\n"):
        return Ending(run, code, **json.loads(line))
    name = {number.value: number.name for number in signal.Signals}.get(code - 128)
    if name is None:
        log = run.folder / LOG
        return Ending(run, code, f"its process ended with exit code {code}; see {log}")
    memory = ", probably out of memory" if name == "SIGKILL" else ""
    return Ending(run, code, f"its process was ended by {name}{memory}")


class Engine(Protocol):
    """Runs ``slots`` runs at a time, of which ``devices`` train."""

    @property
    def slots(self) -> int: ...

    @property
    def devices(self) -> int: ...

    def start(self, run: PlannedRun) -> None:
        """Start ``run`` in a free slot."""

    def running(self) -> list[PlannedRun]:
        """Return started runs that ``endings`` has not returned yet."""

    def starting(self) -> list[PlannedRun]:
        """Return the running runs that wait for their turn to train."""

    def endings(self) -> list[Ending]:
        """Return the runs that ended since the last call."""

    def stop(self) -> None:
        """Ask all runs to save and stop, and wait for them."""


@dataclass
class Started:
    """A worker process, its GPU (None: CPU) and start time in seconds since 1970."""

    process: subprocess.Popen[bytes]
    gpu: int | None
    begun: float
    waits: bool = True


class LocalEngine:
    """Runs one worker per GPU of this machine, or one on its CPU.

    Meanwhile, ``ahead`` more workers per GPU load and compile, then wait until the workers before
    them have finished their epochs. A run's output goes to ``train.log`` in its folder.
    """

    def __init__(self, gpus: Sequence[int] = (), *, ahead: int = 0):
        devices: list[int | None] = list(gpus) or [None]
        self._free = devices * (1 + ahead)
        self._planned: dict[PlannedRun, Started] = {}
        self.slots, self.devices = len(self._free), len(devices)

    def start(self, run: PlannedRun) -> None:
        taken = [started.gpu for started in self._planned.values()]
        gpu = min(self._free, key=taken.count)  # an idle one if possible
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        visible = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": _visible(gpu, given)}
        run.folder.mkdir(parents=True, exist_ok=True)
        with (run.folder / LOG).open("ab") as log:
            # Its own session, so that Ctrl-C only reaches this process, which asks it to save.
            process = subprocess.Popen(
                [sys.executable, "-m", "roadmap.sweep.worker"],
                stdin=subprocess.PIPE,  # closes when this process dies, which ends the worker
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | visible,
                start_new_session=True,
            )
        self._free.remove(gpu)
        self._planned[run] = Started(process, gpu, time.time())
        assert process.stdin
        with suppress(BrokenPipeError):  # it has ended, which `endings` will report
            process.stdin.write(base64.b64encode(pickle.dumps(run)) + b"\n")
            process.stdin.flush()
        self._give_turns()

    def running(self) -> list[PlannedRun]:
        return list(self._planned)

    def starting(self) -> list[PlannedRun]:
        return [run for run, started in self._planned.items() if started.waits]

    def endings(self) -> list[Ending]:
        found = []
        for run, started in list(self._planned.items()):
            code = started.process.poll()
            if code is None:
                continue
            del self._planned[run]
            self._free.append(started.gpu)
            # Death by signal N is -N here and 128 + N in shells.
            code = 128 - code if code < 0 else code
            assert started.process.stdout
            said = started.process.stdout.readline().decode()
            found.append(failed(run, code, said) if code else Ending(run, 0))
            _close(started.process)
        self._give_turns()
        return found

    def stop(self) -> None:
        processes = [started.process for started in self._planned.values()]
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()
            _close(process)

    def _give_turns(self) -> None:
        """Let the oldest worker of each GPU train; let the next train once its epochs are done."""
        taken = set()
        for run, started in self._planned.items():
            if started.gpu in taken:
                continue
            if started.waits:
                started.waits = False
                assert started.process.stdin
                with suppress(BrokenPipeError):
                    started.process.stdin.write(TURN)
                    started.process.stdin.flush()
            if not _trained(run, started.begun):
                taken.add(started.gpu)


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe
        with suppress(BrokenPipeError):
            pipe.close()


def _trained(run: PlannedRun, begun: float) -> bool:
    """Whether ``run`` has finished its epochs in this attempt."""
    progress = read_progress(run.folder)
    return progress.written > begun and progress.epochs >= run.settings.recipe.epochs


def _visible(gpu: int, given: list[str]) -> str:
    """Return the environment that restricts a worker to one of our GPUs."""
    return given[gpu] if given != [""] else str(gpu)
