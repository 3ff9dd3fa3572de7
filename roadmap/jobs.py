"""Long work beside the explorer: one process at a time, with progress, that can be stopped.

A process of its own takes no interpreter from other sessions, leaves no memory behind, and ends at
once when it is killed. One at a time, because two would falsify each other's measurement.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from roadmap.results import START

State = Literal["waiting", "running", "done", "failed", "cancelled"]

#: Seconds after which a job ends that nobody has looked at, or that takes too long.
ABANDONED, LONGEST = 90.0, 600.0
#: The exit code of a process that was killed, as the system does when memory runs out.
KILLED = -9
_TURN = threading.Lock()
#: The process that waits for a request, and whoever takes it or puts one there.
_spare: subprocess.Popen[str] | None = None
_SPARING = threading.Lock()


def prepare() -> None:
    """Start the next job's process now, with all it needs loaded; it waits ``ABANDONED`` seconds.

    For a page on which a job is likely: loading takes seconds.
    """
    global _spare
    with _SPARING:
        if _spare is not None and _spare.poll() is None:
            return
        spare = _spare = _process("--load")
    timer = threading.Timer(ABANDONED, _dismiss, [spare])
    timer.daemon = True
    timer.start()


def _dismiss(spare: subprocess.Popen[str]) -> None:
    global _spare
    with _SPARING:
        if spare is _spare:
            _spare = None
            spare.kill()
            spare.wait()


def _ready_process() -> subprocess.Popen[str]:
    """The one that waits, or a new one."""
    global _spare
    with _SPARING:
        spare, _spare = _spare, None
    return spare if spare is not None and spare.poll() is None else _process()


def _process(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "roadmap.worker", *options],
        cwd=START,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


class Job:
    """One request to ``roadmap.worker``, waiting for its turn, then running.

    ``folder`` is for its files and lives as long as the job. ``done`` of ``total`` steps are done;
    ``result`` is there when ``state`` is ``done``, ``error``, a sentence, when it is ``failed``.
    """

    def __init__(self, task: str, **request: Any):
        self.state: State = "waiting"
        self.done, self.total = 0, 0
        self.result: dict[str, Any] = {}
        self.error = ""
        self._files = tempfile.TemporaryDirectory(prefix="roadmap-", ignore_cleanup_errors=True)
        self._request: Mapping[str, Any] = {"task": task, **request}
        self._stop = threading.Event()
        self._looked = time.monotonic()

    @property
    def folder(self) -> Path:
        return Path(self._files.name)

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")

    def start(self, **request: Any) -> Job:
        """Queue it; ``request`` adds to what was asked, file names in ``folder`` for instance."""
        self._request = {**self._request, **request}
        threading.Thread(target=self._take_turn, daemon=True).start()
        return self

    def look(self) -> State:
        """The state, and a sign that somebody still waits for it."""
        self._looked = time.monotonic()
        return self.state

    def cancel(self) -> None:
        """Stop it within a fraction of a second; one that has ended stays as it is."""
        self._stop.set()

    def _take_turn(self) -> None:
        while not _TURN.acquire(timeout=0.2):
            if self._unwanted():
                self.state = "cancelled"
                return
        try:
            self._run()
        finally:
            _TURN.release()

    def _unwanted(self) -> bool:
        return self._stop.is_set() or time.monotonic() - self._looked > ABANDONED

    def _run(self) -> None:
        self.state = "running"
        process = _ready_process()
        answers: list[dict[str, Any]] = []
        reader = threading.Thread(target=self._read, args=(process, answers), daemon=True)
        reader.start()
        started = time.monotonic()
        while reader.is_alive() and not self._unwanted() and time.monotonic() - started < LONGEST:
            reader.join(timeout=0.1)
        stopped, seconds = reader.is_alive(), time.monotonic() - started
        if not (stopped or answers):
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)  # it is ending, and its exit code says why
        process.kill()
        process.wait()
        reader.join()
        self._end(answers, stopped, seconds, process.returncode)

    def _read(self, process: subprocess.Popen[str], answers: list[dict[str, Any]]) -> None:
        """Send the request and follow the answers until the process closes its output."""
        try:
            process.stdin.write(json.dumps(self._request) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if "total" in answer:
                    self.done, self.total = answer["done"], answer["total"]
                else:
                    answers.append(answer)
                    return
        except (OSError, ValueError):
            return  # it was killed in the middle of a line

    def _end(self, answers: list[dict[str, Any]], stopped: bool, seconds: float, code: int) -> None:
        if answers and "result" in answers[0]:
            self.result, self.state = answers[0]["result"], "done"
        elif answers:
            self.error, self.state = answers[0]["error"], "failed"
        elif stopped and seconds < LONGEST:
            self.state = "cancelled"
        elif stopped:
            self.error = f"It was stopped after {LONGEST / 60:.0f} minutes: try a smaller network."
            self.state = "failed"
        else:
            killed = "The process was killed, probably out of memory: try a smaller batch."
            early = f"The process ended early, with exit code {code}."
            self.error, self.state = killed if code == KILLED else early, "failed"
