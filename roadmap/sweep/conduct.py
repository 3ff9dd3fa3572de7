"""The scheduler: runs a sweep's jobs to the end, through failures and interruptions."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from roadmap.runs.lock import is_locked
from roadmap.sweep.engine import Ending, Engine
from roadmap.sweep.jobs import Job, read_progress
from roadmap.train.errors import RefusedError, TrainingError

#: Seconds between checks of the running jobs.
PAUSE = 0.5
#: Seconds before retrying a run that was in use, if its lock cannot be tested from here.
IN_USE = 10
#: A failed job is tried once more unless it was refused, which would happen again.
TRIES = 2


@dataclass
class State:
    """The state of a sweep; each job is in one of these sets or running."""

    waiting: deque[Job]
    done: list[Job] = field(default_factory=list)
    failed: list[Ending] = field(default_factory=list)
    retried: list[Ending] = field(default_factory=list)
    #: Waiting jobs that another process is training.
    held: set[Job] = field(default_factory=set)
    tries: Counter[Job] = field(default_factory=Counter)
    #: Time before which a job is not retried.
    later: dict[Job, float] = field(default_factory=dict)


def conduct(
    jobs: Sequence[Job],
    engine: Engine,
    watch: Callable[[State, list[Job], list[Job]], None],
    stopped: Callable[[], bool],
) -> State:
    """Run unfinished ``jobs`` on ``engine`` until all have ended or ``stopped`` is true.

    A job that another process is training waits until that has ended. ``watch`` is called at each
    check with the sweep's state and the jobs that train or start. When ``stopped``, running jobs
    are asked to save; the same command resumes them.
    """
    state = State(deque())
    for job in jobs:
        _enter(job, state)
    try:
        while state.waiting or engine.running():
            if stopped():
                break
            _fill(engine, state)
            starting = engine.starting()
            watch(state, [job for job in engine.running() if job not in starting], starting)
            time.sleep(PAUSE)
            for ending in engine.endings():
                _sort(ending, state)
    finally:
        engine.stop()
    for job in engine.running():
        _enter(job, state)
    watch(state, [], [])
    return state


def _enter(job: Job, state: State) -> None:
    finished = read_progress(job.folder).status == "finished"
    (state.done if finished else state.waiting).append(job)


def _fill(engine: Engine, state: State) -> None:
    """Fill free slots with waiting jobs, in order, except those trained by other processes."""
    for job in list(state.waiting):
        if len(engine.running()) >= engine.slots:
            return
        if is_locked(job.folder) or time.monotonic() < state.later.get(job, 0):
            state.held.add(job)
            continue
        state.held.discard(job)
        state.waiting.remove(job)
        if read_progress(job.folder).status == "finished":
            state.done.append(job)
            continue
        state.tries[job] += 1
        try:
            engine.start(job)
        except OSError as error:
            reason = f"{job.folder} cannot be written: {error.strerror}"
            _sort(Ending(job, TrainingError.code, reason), state)


def _sort(ending: Ending, state: State) -> None:
    job = ending.job
    if ending.code == 0:
        state.done.append(job)
    elif ending.in_use:
        state.tries[job] -= 1
        state.later[job] = time.monotonic() + IN_USE
        state.waiting.append(job)
    elif ending.code != RefusedError.code and state.tries[job] < TRIES:
        state.retried.append(ending)
        state.waiting.append(job)
    else:
        state.failed.append(ending)
