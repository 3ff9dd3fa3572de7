"""Background jobs of the explorer: one process at a time, with progress and cancellation.

A separate process does not block other sessions, frees its memory, and can be killed at once. Only
one runs at a time, since two would slow each other's measurement down.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from roadmap import visitors
from roadmap.background import scratch
from roadmap.errors import RefusedError
from roadmap.tables.results import START
from roadmap.text import duration

#: ``expired``: done, but its files are removed.
State = Literal["waiting", "running", "done", "failed", "canceled", "expired"]

#: Seconds after which a job is canceled if no page asks for its state; longest run time.
ABANDONED, LONGEST = 90.0, 600.0
#: Seconds after which a job is canceled if it is not wanted, as its page is closed: a connection
#: that was lost briefly comes back before.
GONE = 10.0
#: Seconds for which the files of a finished job are kept, seconds between checks whether they are
#: still wanted, and failed checks in a row before they are removed.
KEPT, WATCH, MISSED = 900.0, 5.0, 6
#: Most waiting jobs; more are refused.
MOST_WAITING = 20
#: First word of messages about each task.
DOING = {
    **dict.fromkeys(("measure", "measure_candidate", "compare", "effective_fields"), "Measuring"),
    **dict.fromkeys(("export", "export_library"), "Creating files"),
}
#: Exit code of a killed process; the system kills processes when memory runs out.
KILLED = -9
_TURN = threading.Lock()
_QUEUE = threading.BoundedSemaphore(MOST_WAITING)
#: A process that waits for a request.
_spare: subprocess.Popen[str] | None = None
_SPARING = threading.Lock()


def prepare() -> None:
    """Start the next job's process early, since loading takes seconds; call it on likely pages.

    The process waits for ``ABANDONED`` seconds. Does nothing for visitors who may not start jobs.
    """
    global _spare
    if visitors.is_public():
        return
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
    """Return the waiting process or a new one."""
    global _spare
    with _SPARING:
        spare, _spare = _spare, None
    return spare if spare is not None and spare.poll() is None else _process()


def _process(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "roadmap.background.worker", *options],
        cwd=START,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


class Job:
    """One request to ``roadmap.background.worker``.

    ``done`` of ``total`` steps are done. ``result`` is set if ``state`` is ``done``, ``error`` (a
    sentence) if it is ``failed``. It is stopped after ``longest`` seconds, or once ``wanted()`` has
    been false for ``GONE`` seconds. The files in ``folder`` of a finished job are kept as long as
    the object, for at most ``KEPT`` seconds and while ``wanted()`` is true.
    """

    def __init__(
        self,
        task: str,
        wanted: Callable[[], bool] = lambda: True,
        longest: float = LONGEST,
        **request: Any,
    ):
        self.state: State = "waiting"
        self.done, self.total = 0, 0
        self.result: dict[str, Any] = {}
        self.error = ""
        self.wanted = wanted
        self._files = scratch.new_folder()
        self._request: Mapping[str, Any] = {"task": task, "folder": self._files.name, **request}
        self._longest = longest
        self._stop = threading.Event()
        self._looked = self._last_wanted = time.monotonic()
        self._first_step = self._last_step = 0.0

    @property
    def folder(self) -> Path:
        return Path(self._files.name)

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")

    @property
    def seconds_left(self) -> float | None:
        """About the seconds until all steps are done; None before the second one shows a pace."""
        if self.done < 2:
            return None
        pace = (self._last_step - self._first_step) / (self.done - 1)
        end = self._last_step + pace * (self.total - self.done)
        return max(0.0, end - time.monotonic())

    def start(self, **request: Any) -> Job:
        """Queue the job; ``request`` adds fields to its request, such as file names in ``folder``.

        Raises ``RefusedError`` if the visitor may not start jobs or too many are waiting.
        """
        visitors.require_owner(DOING.get(self._request["task"], "This"))
        if not _QUEUE.acquire(blocking=False):
            raise RefusedError(
                f"{MOST_WAITING} measurements and exports are already waiting on this machine: "
                "try again in a few minutes."
            )
        self._request = {**self._request, **request}
        threading.Thread(target=self._take_turn, daemon=True).start()
        return self

    def look(self) -> State:
        """Return the state; also tells the job that it is still wanted."""
        self._looked = time.monotonic()
        return self.state

    def cancel(self) -> None:
        """Stop the job within a fraction of a second, unless it has ended."""
        self._stop.set()

    def discard(self) -> None:
        """Remove its files, if any."""
        self._files.cleanup()
        if self.state == "done":
            self.state = "expired"

    def _take_turn(self) -> None:
        try:
            self._wait_and_run()
        finally:
            _QUEUE.release()
        if self.state != "done" or not any(self.folder.iterdir()):
            self._files.cleanup()
        else:
            threading.Thread(target=_watch, args=(weakref.ref(self),), daemon=True).start()

    def _wait_and_run(self) -> None:
        while not _TURN.acquire(timeout=0.2):
            if self._unwanted():
                self.state = "canceled"
                return
        try:
            self._run()
        finally:
            _TURN.release()

    def _unwanted(self) -> bool:
        now = time.monotonic()
        if self.wanted():
            self._last_wanted = now
        is_abandoned = now - self._looked > ABANDONED or now - self._last_wanted > GONE
        return self._stop.is_set() or is_abandoned

    def _run(self) -> None:
        self.state = "running"
        process = _ready_process()
        answers: list[dict[str, Any]] = []
        reader = threading.Thread(target=self._read, args=(process, answers), daemon=True)
        reader.start()
        started = time.monotonic()
        while (
            reader.is_alive()
            and not self._unwanted()
            and time.monotonic() - started < self._longest
        ):
            reader.join(timeout=0.1)
        stopped, seconds = reader.is_alive(), time.monotonic() - started
        if not (stopped or answers):
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)  # for its exit code
        process.kill()
        process.wait()
        reader.join()
        self._end(answers, stopped, seconds, process.returncode)

    def _read(self, process: subprocess.Popen[str], answers: list[dict[str, Any]]) -> None:
        """Send the request and follow the answers until the process closes its output."""
        assert process.stdin and process.stdout  # both are pipes
        try:
            process.stdin.write(json.dumps(self._request) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = json.loads(line)
                if "total" in answer:
                    self._stepped(answer["done"], answer["total"])
                else:
                    answers.append(answer)
                    return
        except (OSError, ValueError):
            return  # killed while writing a line

    def _stepped(self, done: int, total: int) -> None:
        self._last_step = time.monotonic()
        if done <= 1:
            self._first_step = self._last_step
        self.done, self.total = done, total

    def _end(self, answers: list[dict[str, Any]], stopped: bool, seconds: float, code: int) -> None:
        if answers and "result" in answers[0]:
            self.result, self.state = answers[0]["result"], "done"
        elif answers:
            self.error, self.state = answers[0]["error"], "failed"
        elif stopped and seconds < self._longest:
            self.state = "canceled"
        elif stopped:
            self.error = f"Stopped after {duration(self._longest)}: try a smaller network."
            self.state = "failed"
        else:
            killed = "The process was killed, probably out of memory: try a smaller batch."
            early = f"The process ended early, with exit code {code}."
            self.error, self.state = killed if code == KILLED else early, "failed"


def _watch(job: weakref.ref[Job]) -> None:
    """Remove the files of the finished ``job`` when unwanted; a weak reference can be collected."""
    begun, missed = time.monotonic(), 0
    while (found := job()) is not None:
        missed = 0 if found.wanted() else missed + 1  # a connection may be lost briefly
        if missed >= MISSED or time.monotonic() - begun > KEPT:
            found.discard()
            return
        del found
        time.sleep(WATCH)
