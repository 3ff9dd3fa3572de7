"""One run of a sweep in a process of its own: ``python -m roadmap.sweep.child < job``.

The job comes pickled on standard input; its turn to train comes when that ends. Exit codes are
those of ``roadmap train``.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading

from roadmap.sweep.jobs import Job
from roadmap.train.commands import sentences


def main() -> None:
    job: Job = pickle.load(sys.stdin.buffer)
    with sentences():
        from roadmap.train.run import train

        train(job.settings, job.notes, turn=_turn())


def _turn() -> threading.Event:
    turn = threading.Event()

    def wait() -> None:
        # Past Python's own buffer, whose lock a waiting thread would hold at exit.
        os.read(sys.stdin.fileno(), 1)
        turn.set()

    threading.Thread(target=wait, daemon=True).start()
    return turn


if __name__ == "__main__":
    main()
