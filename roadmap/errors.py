"""Errors that end a training run early, each with its exit code.

0: finished. 1: failed during training (disk, data, memory). 2: refused before training started.
3: the loss was not finite. 130 and 143: stopped by Ctrl-C and SIGTERM, after saving.
"""

from __future__ import annotations

import signal

from models.text import bounded


class TrainingError(Exception):
    """A message of one sentence for the user; nothing saved before the error is lost."""

    code = 1

    def __init__(self, message: str):
        super().__init__(bounded(message))


class RefusedError(TrainingError):
    """An invalid name, value or folder; nothing was started."""

    code = 2


class FolderInUseError(RefusedError):
    """Another process is training in the folder; try again once it has ended."""


class NonFiniteError(TrainingError):
    """The loss was not finite."""

    code = 3


class InterruptedRunError(TrainingError):
    """A signal stopped the run, which has saved a checkpoint."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number
        self.code = 128 + number

    @property
    def name(self) -> str:
        return "Ctrl-C" if self.number == signal.SIGINT else signal.Signals(self.number).name
