"""The scheduler, which trains a sweep's runs and retries failed ones."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from roadmap.errors import RefusedError, TrainingError
from roadmap.runs.lock import is_locked
from roadmap.sweep.engine import Ending, Engine
from roadmap.sweep.plan import PlannedRun, read_progress

#: Seconds between checks of the running runs.
PAUSE = 0.5
#: Seconds before retrying a run that was in use, if its lock cannot be tested from here.
IN_USE = 10
#: A failed run is tried once more unless it was refused, which would happen again.
TRIES = 2


@dataclass
class State:
    """The state of a sweep; each run is in one of these sets or running."""

    waiting: deque[PlannedRun]
    done: list[PlannedRun] = field(default_factory=list)
    failed: list[Ending] = field(default_factory=list)
    retried: list[Ending] = field(default_factory=list)
    #: Waiting runs that another process is training.
    held: set[PlannedRun] = field(default_factory=set)
    tries: Counter[PlannedRun] = field(default_factory=Counter)
    #: Time before which a run is not retried.
    later: dict[PlannedRun, float] = field(default_factory=dict)


def schedule(
    runs: Sequence[PlannedRun],
    engine: Engine,
    watch: Callable[[State, list[PlannedRun], list[PlannedRun]], None],
    stopped: Callable[[], bool],
) -> State:
    """Train unfinished ``runs`` on ``engine`` until all have ended or ``stopped()`` is true.

    A run that another process is training waits for that process. ``watch`` is called at each
    check with the sweep's state and the runs that train or start. When stopped, running runs are
    asked to save; the same command resumes them. Returns the final state.
    """
    state = State(deque())
    for run in runs:
        _enter(run, state)
    try:
        while state.waiting or engine.running():
            if stopped():
                break
            _fill(engine, state)
            starting = engine.starting()
            watch(state, [run for run in engine.running() if run not in starting], starting)
            time.sleep(PAUSE)
            for ending in engine.endings():
                _sort(ending, state)
    finally:
        engine.stop()
    for run in engine.running():
        _enter(run, state)
    watch(state, [], [])
    return state


def _enter(run: PlannedRun, state: State) -> None:
    finished = read_progress(run.folder).status == "finished"
    (state.done if finished else state.waiting).append(run)


def _fill(engine: Engine, state: State) -> None:
    """Fill free slots with waiting runs, in order, except those trained by other processes."""
    for run in list(state.waiting):
        if len(engine.running()) >= engine.slots:
            return
        if is_locked(run.folder) or time.monotonic() < state.later.get(run, 0):
            state.held.add(run)
            continue
        state.held.discard(run)
        state.waiting.remove(run)
        if read_progress(run.folder).status == "finished":
            state.done.append(run)
            continue
        state.tries[run] += 1
        try:
            engine.start(run)
        except OSError as error:
            reason = f"{run.folder} cannot be written: {error.strerror}"
            _sort(Ending(run, TrainingError.code, reason), state)


def _sort(ending: Ending, state: State) -> None:
    run = ending.run
    if ending.code == 0:
        state.done.append(run)
    elif ending.in_use:
        state.tries[run] -= 1
        state.later[run] = time.monotonic() + IN_USE
        state.waiting.append(run)
    elif ending.code != RefusedError.code and state.tries[run] < TRIES:
        state.retried.append(ending)
        state.waiting.append(run)
    else:
        state.failed.append(ending)
