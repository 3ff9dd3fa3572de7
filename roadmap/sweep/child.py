"""One run of a sweep in a process of its own: ``python -m roadmap.sweep.child FOLDER < job``.

The settings come pickled on standard input. Exit codes are those of ``roadmap train``.
"""

from __future__ import annotations

import pickle
import sys

from roadmap.sweep.jobs import Job
from roadmap.train.commands import sentences


def main() -> None:
    job: Job = pickle.load(sys.stdin.buffer)
    with sentences():
        from roadmap.train.run import train

        train(job.settings, job.notes)


if __name__ == "__main__":
    main()
