"""``python -m roadmap.sweep.worker``: one run of a sweep in its own process.

Standard input has one line with the run (pickled, in base64) and one more byte when the run may
train. When it is closed, the run saves and stops. Exit codes are those of the command ``train``; on
failure, standard output has one line that ``engine.failed`` reads.
"""

from __future__ import annotations

import base64
import os
import pickle
import sys
import threading
from contextlib import suppress
from io import RawIOBase
from typing import TextIO

import typer

from roadmap.sweep.engine import failure_line
from roadmap.sweep.plan import PlannedRun
from roadmap.train.options import sentences
from roadmap.train.stopping import ask_to_stop


def main() -> None:
    gone = suppress(BrokenPipeError)  # the sweep has died, so nobody reads the answer
    # Unbuffered: a thread that waits for a buffer would hold its lock at exit.
    with gone, _own_output() as answer, open(0, "rb", buffering=0, closefd=False) as told:
        line = told.readline()
        if not line.endswith(b"\n"):  # the sweep ended before writing the run
            return
        try:
            with sentences():
                _train(pickle.loads(base64.b64decode(line)), _turn(told), answer)
        except typer.Exit as end:
            sys.exit(end.exit_code)


def _own_output() -> TextIO:
    """Reserve standard output for the failure line; other output goes to the log."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answer


def _train(run: PlannedRun, turn: threading.Event, answer: TextIO) -> None:
    try:
        from roadmap.train.run import train

        train(run.settings, run.notes, turn=turn)
    except Exception as error:
        with suppress(BrokenPipeError):
            answer.write(failure_line(error))
            answer.flush()
        raise


def _turn(told: RawIOBase) -> threading.Event:
    turn = threading.Event()

    def follow() -> None:
        while told.read(1):
            turn.set()
        ask_to_stop()

    threading.Thread(target=follow, daemon=True).start()
    return turn


if __name__ == "__main__":
    main()
