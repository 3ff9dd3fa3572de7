"""Running a sweep's jobs to their ends, through failures and interruptions."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from roadmap.sweep.engine import Ending, Engine
from roadmap.sweep.jobs import Job, read_progress
from roadmap.train.errors import RefusedError, TrainingError

#: Seconds between two looks at what runs.
PAUSE = 0.5
#: A job that failed is tried once more, unless it was refused: that would be for the same reason.
TRIES = 2


@dataclass
class State:
    """Where a sweep stands; each job is in one of these, or runs."""

    waiting: deque[Job]
    done: list[Job] = field(default_factory=list)
    failed: list[Ending] = field(default_factory=list)
    retried: list[Ending] = field(default_factory=list)


def conduct(
    jobs: Sequence[Job],
    engine: Engine,
    watch: Callable[[State, list[Job], list[Job]], None],
    stopped: Callable[[], bool],
) -> State:
    """Run ``jobs`` on ``engine``, those that are finished left out, until all ended or ``stopped``.

    ``watch`` is told at each look where the sweep stands, what trains and what starts up. When
    ``stopped``, runs are asked to save, and wait for the same command.
    """
    state = State(deque())
    for job in jobs:
        _enter(job, state)
    tries: Counter[Job] = Counter()
    try:
        while state.waiting or engine.running():
            if stopped():
                break
            while state.waiting and len(engine.running()) < engine.slots:
                job = state.waiting.popleft()
                tries[job] += 1
                try:
                    engine.start(job)
                except OSError as error:
                    reason = f"{job.folder} cannot be written: {error.strerror}"
                    _sort(Ending(job, TrainingError.code, reason), state, tries)
            starting = engine.starting()
            watch(state, [job for job in engine.running() if job not in starting], starting)
            time.sleep(PAUSE)
            for ending in engine.endings():
                _sort(ending, state, tries)
    finally:
        engine.stop()
    for job in engine.running():
        _enter(job, state)
    watch(state, [], [])
    return state


def _enter(job: Job, state: State) -> None:
    finished = read_progress(job.folder).status == "finished"
    (state.done if finished else state.waiting).append(job)


def _sort(ending: Ending, state: State, tries: Counter[Job]) -> None:
    if ending.code == 0:
        state.done.append(ending.job)
    elif ending.code != RefusedError.code and tries[ending.job] < TRIES:
        state.retried.append(ending)
        state.waiting.append(ending.job)
    else:
        state.failed.append(ending)
