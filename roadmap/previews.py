"""Pictures as training makes them, for the pages: made in a process of their own.

So the server of the pages stays without torch, which takes a third of a gigabyte and seconds to
load, in which no other visitor is answered. The process waits for the next pictures and ends when
nobody has wanted any for a while. ``python -m roadmap.previews`` is that process.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from roadmap.recipes import Recipe
from roadmap.results import START

#: Seconds after which the process ends that nobody has used, or that takes too long.
IDLE, LONGEST = 120.0, 60.0
#: Behind the server of the pages, which answers people.
NICE = 5
_TURN = threading.Lock()
_process: subprocess.Popen[bytes] | None = None
_idle: threading.Timer | None = None


class PreviewError(RuntimeError):
    """No pictures came; the sentence says what to do."""


class Preview(NamedTuple):
    """``before`` and ``after`` uint8 (N, S, S, 3); ``notes`` (N,): what was drawn, in words."""

    before: np.ndarray
    after: np.ndarray
    notes: tuple[str, ...]


def preview(
    pictures: Sequence[np.ndarray], recipe: Recipe, seed: int, *, crop: bool = True
) -> Preview:
    """What ``roadmap.train.preview.preview`` makes of ``pictures`` (uint8 (H, W, 3) each), one
    request at a time. Raises ``PreviewError``."""
    with _TURN:
        process = _ready()
        limit = threading.Timer(LONGEST, process.kill)
        limit.start()
        try:
            pickle.dump((list(pictures), recipe, seed, crop), process.stdin)
            process.stdin.flush()
            return Preview(*pickle.load(process.stdout))
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            process.kill()
            raise PreviewError(
                "The process that makes the pictures ended early, probably out of memory: change a "
                "control to start it again."
            ) from error
        finally:
            limit.cancel()
            _end_when_idle(process)


def _ready() -> subprocess.Popen[bytes]:
    """The process, started where there is none."""
    global _process
    if _idle is not None:
        _idle.cancel()
    if _process is None or _process.poll() is not None:
        _process = subprocess.Popen(
            [sys.executable, "-m", "roadmap.previews"],
            cwd=START,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    return _process


def _end_when_idle(process: subprocess.Popen[bytes]) -> None:
    global _idle
    _idle = threading.Timer(IDLE, _dismiss, [process])
    _idle.daemon = True
    _idle.start()


def _dismiss(process: subprocess.Popen[bytes]) -> None:
    """End ``process``, unless somebody wants pictures at this moment: then its timer runs anew."""
    if _TURN.acquire(blocking=False):
        try:
            process.kill()
            process.wait()
        finally:
            _TURN.release()


def _serve(source: Any, sink: Any) -> None:
    """Answer requests until the server of the pages has gone."""
    from roadmap.train.preview import preview

    while True:
        try:
            pictures, recipe, seed, crop = pickle.load(source)
        except EOFError:
            return
        drawn = preview(pictures, recipe, seed, crop=crop)
        pickle.dump((drawn.before, drawn.after, drawn.notes), sink)
        sink.flush()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(NICE)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    _serve(sys.stdin.buffer, answers)
