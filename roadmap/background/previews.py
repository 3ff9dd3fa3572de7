"""Augmented pictures from a separate process, so that the page server does not load PyTorch.

The process, ``python -m roadmap.background.previews``, starts with the first request, answers one
request at a time, and ends with the server or when idle.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from roadmap.measure.host_memory import free_memory
from roadmap.tables.results import START

if TYPE_CHECKING:
    import numpy as np

    from roadmap.recipes import Recipe

#: Niceness: lower priority than the page server.
NICE = 5
#: Seconds after which an idle process ends; longest time for one answer.
IDLE, LONGEST = 300.0, 120.0
#: Bytes that the process needs.
NEEDED = 0.5e9


class PreviewError(Exception):
    """The pictures cannot be augmented; the message says why."""


class Drawn(NamedTuple):
    """``roadmap.train.data.preview.Preview`` without PyTorch: uint8 arrays (N, S, S, 3)."""

    before: np.ndarray
    after: np.ndarray
    notes: tuple[str, ...]


def preview(
    pictures: Sequence[np.ndarray], recipe: Recipe, seed: int, *, crop: bool = False
) -> Drawn:
    """Call ``roadmap.train.data.preview.preview`` in the process. Raises ``PreviewError``."""
    return _ARTIST.ask((pictures, recipe, seed, crop))


class _Artist:
    """Starts, asks and ends the process."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None

    def ask(self, request: object) -> Drawn:
        with self._turn:
            if self._idle:
                self._idle.cancel()
            process = self._running()
            assert process.stdin and process.stdout  # both are pipes
            late = _later(LONGEST, process.kill)
            try:
                pickle.dump(request, process.stdin)
                process.stdin.flush()
                answer = pickle.load(process.stdout)
            except (OSError, EOFError, pickle.UnpicklingError):
                self._end()
                raise PreviewError(
                    "The pictures could not be augmented: the process ended, probably out of "
                    "memory. Try again."
                ) from None
            finally:
                late.cancel()
            self._idle = _later(IDLE, self._dismiss, process)
            return Drawn(*answer)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        free = free_memory()
        if free is not None and free < NEEDED:
            raise PreviewError(
                f"Augmenting pictures takes {NEEDED / 1e9:.1f} GB of memory, but only "
                f"{free / 1e9:.1f} GB are free on this machine: try again later."
            )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "roadmap.background.previews"],
            cwd=START,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self._process

    def _dismiss(self, process: subprocess.Popen[bytes]) -> None:
        with self._turn:
            if process is self._process:
                self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe
                with suppress(OSError):  # unsent data
                    pipe.close()
        self._process = None


def _later(seconds: float, function: Callable[..., None], *arguments: object) -> threading.Timer:
    timer = threading.Timer(seconds, function, arguments)
    timer.daemon = True
    timer.start()
    return timer


_ARTIST = _Artist()


def main() -> None:
    """Answer requests on standard input until it is closed."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    from roadmap.train.data import preview as training

    while True:
        try:
            pictures, recipe, seed, crop = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        drawn = training.preview(pictures, recipe, seed, crop=crop)
        pickle.dump((drawn.before, drawn.after, drawn.notes), answers)
        answers.flush()


if __name__ == "__main__":
    main()
