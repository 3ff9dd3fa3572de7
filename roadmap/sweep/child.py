"""One run of a sweep in a process of its own: ``python -m roadmap.sweep.child``.

Standard input is a line with the job, pickled in base64, and then, when the run may train, one byte
more. Where it ends without, the sweep has died, and the run saves and stops. Exit codes are those
of ``roadmap train``.
"""

from __future__ import annotations

import base64
import pickle
import signal
import sys
import threading
from io import RawIOBase

import typer

from roadmap.sweep.jobs import Job
from roadmap.train.commands import sentences


def main() -> None:
    # Unbuffered: a thread that waits at a buffer would hold its lock at exit.
    with open(0, "rb", buffering=0, closefd=False) as told:
        job: Job = pickle.loads(base64.b64decode(told.readline()))
        try:
            with sentences():
                from roadmap.train.run import train

                train(job.settings, job.notes, turn=_turn(told))
        except typer.Exit as end:
            sys.exit(end.exit_code)


def _turn(told: RawIOBase) -> threading.Event:
    turn = threading.Event()

    def wait() -> None:
        if told.read(1):
            turn.set()
        else:
            signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
    return turn


if __name__ == "__main__":
    main()
