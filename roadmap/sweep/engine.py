"""What runs the runs of a sweep: an ``Engine``; here the one of this machine."""

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

from roadmap.sweep.plan import PlannedRun, read_progress
from roadmap.train.errors import FolderInUseError, TrainingError

LOG = "train.log"
#: What a process reads after its run when it may train. At the end of that we have died.
TURN = b"."
#: Characters of a failure's reason: a line that a pipe takes although nobody reads it yet.
MOST_SAID = 2000


@dataclass(frozen=True)
class Ending:
    """How a run ended: an exit code of ``roadmap.train.errors``, and a sentence if it was not 0.

    ``in_use``: it was refused because another process trains it.
    """

    run: PlannedRun
    code: int
    reason: str = ""
    in_use: bool = False


def failure_line(error: Exception) -> str:
    """What a process says of the error that ends it, for ``failed``."""
    reason = str(error)
    if not isinstance(error, TrainingError):
        reason = f"{type(error).__name__}: {reason.strip().partition(chr(10))[0]}"
    in_use = isinstance(error, FolderInUseError)
    return json.dumps({"reason": reason[:MOST_SAID], "in_use": in_use}) + "\n"


def failed(run: PlannedRun, code: int, line: str) -> Ending:
    """The ending of a process with ``code``, from its ``failure_line``, empty where it died."""
    if line.endswith("\n"):
        return Ending(run, code, **json.loads(line))
    name = {number.value: number.name for number in signal.Signals}.get(code - 128)
    if name is None:
        log = run.folder / LOG
        return Ending(run, code, f"its process ended with exit code {code}; {log} may say why")
    memory = ", probably because memory ran out" if name == "SIGKILL" else ""
    return Ending(run, code, f"its process was ended by {name}{memory}")


class Engine(Protocol):
    """Runs runs somewhere: ``slots`` at a time, of which ``devices`` train."""

    @property
    def slots(self) -> int: ...

    @property
    def devices(self) -> int: ...

    def start(self, run: PlannedRun) -> None:
        """Begin ``run``, in a free slot."""

    def running(self) -> list[PlannedRun]:
        """Those that were started and are not among the ``endings`` yet."""

    def starting(self) -> list[PlannedRun]:
        """Those of them that wait until they may train."""

    def endings(self) -> list[Ending]:
        """Those that ended since it was asked last."""

    def stop(self) -> None:
        """Ask all to save and end, and wait until they have."""


@dataclass
class Started:
    """A process, its GPU (None: the CPU), and when it began, in seconds since 1970."""

    process: subprocess.Popen[bytes]
    gpu: int | None
    begun: float
    waits: bool = True


class LocalEngine:
    """A process for each GPU of this machine, or one on its CPU.

    Meanwhile ``ahead`` more for each load and compile, and wait until those before are through
    with their epochs. A run's messages go to ``train.log`` in its folder.
    """

    def __init__(self, gpus: Sequence[int] = (), *, ahead: int = 0):
        devices: list[int | None] = list(gpus) or [None]
        self._free = devices * (1 + ahead)
        self._planned: dict[PlannedRun, Started] = {}
        self.slots, self.devices = len(self._free), len(devices)

    def start(self, run: PlannedRun) -> None:
        taken = [started.gpu for started in self._planned.values()]
        gpu = min(self._free, key=taken.count)  # one with nothing on it, if there is one
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        visible = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": _visible(gpu, given)}
        run.folder.mkdir(parents=True, exist_ok=True)
        with (run.folder / LOG).open("ab") as log:
            # A session of its own: the terminal's Ctrl-C reaches only us, who then ask it to save.
            process = subprocess.Popen(
                [sys.executable, "-m", "roadmap.sweep.worker"],
                stdin=subprocess.PIPE,  # whose end, when we die, ends the process
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | visible,
                start_new_session=True,
            )
        self._free.remove(gpu)
        self._planned[run] = Started(process, gpu, time.time())
        assert process.stdin
        with suppress(BrokenPipeError):  # it has ended already, which `endings` will see
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
            # Killed by signal N is -N here and 128 + N in shells.
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
        """Let the oldest process of each GPU train, and the next once only results are left."""
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
    """Whether ``run`` is through with its epochs: now, not only an earlier try at it."""
    progress = read_progress(run.folder)
    return progress.written > begun and progress.epochs >= run.settings.recipe.epochs


def _visible(gpu: int, given: list[str]) -> str:
    """What the process is to see: of the GPUs that we were given, the one of that number."""
    return given[gpu] if given != [""] else str(gpu)
