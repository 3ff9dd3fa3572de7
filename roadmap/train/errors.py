"""What can end a training run early, each with the exit code that says so.

0: finished. 1: a failure on the way (disk, data, memory). 2: refused before training started.
3: a loss that is not finite. 130, 143: interrupted by Ctrl-C, by SIGTERM; both have saved.
"""

from __future__ import annotations

import signal

from models.text import bounded


class TrainingError(Exception):
    """One sentence for the person at the terminal; nothing saved before it is lost."""

    code = 1

    def __init__(self, message: str):
        super().__init__(bounded(message))


class RefusedError(TrainingError):
    """A wrong name, value or folder: nothing was started."""

    code = 2


class FolderInUseError(RefusedError):
    """Another process trains in the folder: what was asked can be done once it has ended."""


class NonFiniteError(TrainingError):
    """The loss was not finite."""

    code = 3


class InterruptedRunError(TrainingError):
    """A signal asked the run to stop, and it saved."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number
        self.code = 128 + number

    @property
    def name(self) -> str:
        return "Ctrl-C" if self.number == signal.SIGINT else signal.Signals(self.number).name
