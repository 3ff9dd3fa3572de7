"""Measure the candidates of a question one after the other, each in a process of its own.

A search runs in a thread, so that the explorer's pages stay usable; each result is stored at once.
Measurements that other work disturbed are repeated after the others, leading ones in time.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from roadmap import visitors
from roadmap.background.queue import Job
from roadmap.errors import RefusedError
from roadmap.find import answer, store
from roadmap.find.candidates import Candidate, candidates
from roadmap.find.plan import Plan, Rates, plan, repetitions, runs
from roadmap.find.question import Question

State = Literal["running", "done", "stopped", "out of time", "failed"]
#: Most measurements of one network if others disturb it, and seconds between looks at a process.
MOST_ATTEMPTS, LOOK = 3, 0.1
#: Ratio to the best figure up to which a disturbed network may in truth be the best.
LEADING = 1.5
#: Share of the time that is kept for repeating leading networks: on a machine that stays busy,
#: other networks say more.
KEPT = 1 / 3
_TURN = threading.Lock()
_current: Search | None = None


@dataclass(eq=False)
class Search:
    """A plan on its way; all attributes may be read at any time.

    ``now`` is the network in work, ``repeating`` whether it was measured before. ``job`` is its
    process, which has no steps done while it loads libraries and builds the network. ``failures``
    has a sentence per network that could not be measured. ``busy`` says what disturbed the last
    measurement, or is empty. ``problem`` is a sentence if the state is ``failed``.
    """

    question: Question
    plan: Plan
    minutes: float
    own: Candidate | None = None
    state: State = "running"
    now: Candidate | None = None
    job: Job | None = None
    repeating: bool = False
    measured: int = 0
    repeats: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    busy: str = ""
    problem: str = ""
    #: Measured seconds from the start of a process until it runs its network.
    starts: list[float] = field(default_factory=list)
    #: Called after each change, from the search's thread.
    on_change: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._stop, self._ended = threading.Event(), threading.Event()
        self._begun = time.monotonic()
        self.waiting = deque(missing(self.question, self.plan.order, store.rows()))
        self._again: deque[Candidate] = deque(
            repeatable(self.question, self.plan.order, store.rows())
        )

    @property
    def seconds_used(self) -> float:
        return time.monotonic() - self._begun

    @property
    def rates(self) -> Rates:
        """The predictions, from everything measured so far."""
        start_up = statistics.median(self.starts) if self.starts else None
        return Rates(self.question, known(self.own), store.figures(), start_up)

    @property
    def seconds_left(self) -> float:
        """About the seconds that the waiting measurements take, within the time allowed."""
        rates = self.rates
        needed = sum(rates.seconds(each) for each in [*self.waiting, *self._again])
        return max(0.0, min(needed, self._time_left))

    @property
    def _time_left(self) -> float:
        return 60 * self.minutes - self.seconds_used

    def stop(self) -> None:
        """End the search, also amid a measurement; what was measured is kept."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for the end of ``run``; return whether it has ended.

        Unlike ``Thread.join``, it can be continued after Ctrl-C has interrupted it.
        """
        return self._ended.wait(seconds)

    def run(self) -> None:
        """Measure until nothing is left, the time is over, or ``stop`` is called."""
        try:
            self._run()
        except OSError as error:
            table = store.path().name
            self.problem = f"{table} cannot be written: {error.strerror or error}"
            self.state = "failed"
        except RefusedError as error:
            self.problem, self.state = str(error), "failed"
        finally:
            self.now = None
            if self.state == "running":
                self.state = "failed"
            self.on_change()
            self._ended.set()

    def _run(self) -> None:
        while self.waiting or self._again:
            if self._stop.is_set():
                self.state = "stopped"
                return
            if self._time_left <= 0:
                self.state = "out of time"
                return
            self.job, (self.now, self.repeating) = None, self._next()
            self.on_change()
            self._measure(self.now, self.repeating)
        self.state = "stopped" if self._stop.is_set() else "done"

    def _next(self) -> tuple[Candidate, bool]:
        """Take the next network, and whether it is a repetition.

        Repetitions come last. Those of leading networks come before the networks that cannot win,
        and before any other in the time kept for them: the answer is among them.
        """
        if self._again and self.waiting:
            leading, seconds = self._leading(), self.rates.seconds
            kept = min(sum(map(seconds, leading)), KEPT * 60 * self.minutes)
            is_time = kept + seconds(self.waiting[0]) > self._time_left
            if leading and (is_time or self.waiting[0] not in self.plan.first):
                self._again.remove(leading[0])
                return leading[0], True
        queue = self.waiting or self._again
        return queue.popleft(), queue is self._again

    def _leading(self) -> list[Candidate]:
        """Return the networks to repeat whose figure is near the best one, in turn."""
        measured = answer.points(self.question, self.plan.first, store.rows())
        near = {
            point.candidate.place
            for point in measured
            if max(point.value, measured[0].value) <= LEADING * min(point.value, measured[0].value)
        }
        return [each for each in self._again if each.place in near]

    def _measure(self, candidate: Candidate, repeat: bool) -> None:
        begun = time.monotonic()
        job = Job(
            "measure_candidate",
            longest=self.rates.time_limit(candidate),
            source=candidate.source,
            name=candidate.name,
            config=candidate.config.to_dict() if candidate.config else None,
            setting={
                "device": self.question.device,
                "dtype": self.question.dtype,
                "batch_size": self.question.batch_size,
                "image_size": candidate.image_size,
                "in_channels": candidate.config.in_channels if candidate.config else 3,
                "repetitions": repetitions(self.question),
            },
        )
        self.job = job.start()
        while job.look() in ("waiting", "running"):
            if self._stop.wait(LOOK):
                job.cancel()
        # Ctrl-C may also have ended the process, a moment before ``stop`` is called.
        if job.state == "failed" and not self._stop.wait(LOOK):
            self.failures[candidate.title] = job.error
        elif job.state == "done":
            running = runs(self.question) * int(job.result["batch_size"])
            running_seconds = running / float(job.result["images_per_s"])
            self.starts.append(max(0.0, time.monotonic() - begun - running_seconds))
            self._keep(candidate, job.result, repeat)

    def _keep(self, candidate: Candidate, result: dict[str, Any], repeat: bool) -> None:
        row = store.add(result)
        self.busy = result["disturbed"] if self.question.is_timed else ""
        self.measured += not repeat
        self.repeats += repeat
        is_disturbed = bool(row["disturbed"]) and self.question.is_timed
        if is_disturbed and int(row["attempts"]) < MOST_ATTEMPTS:
            self._again.append(candidate)
        self.on_change()


def known(own: Candidate | None) -> list[Candidate]:
    """Return all candidates, and the user's config if given."""
    return [*([own] if own else []), *candidates()]


def missing(
    question: Question, order: Sequence[Candidate], rows: Sequence[store.Row]
) -> list[Candidate]:
    """Return the candidates without a row under the question's conditions, in order."""
    found = {place(row) for row in rows if question.applies_to(row)}
    return [each for each in order if each.place not in found]


def unmeasured(question: Question, found: Plan, rows: Sequence[store.Row]) -> str:
    """Return how many of the networks that can win are not measured yet; nothing if all are."""
    able = [each for each in found.first if each.top1 is not None]
    left = len(missing(question, able, rows))
    if not left:
        return ""
    if len(able) == 1:
        return "The only network that can win is not measured yet."
    if left == len(able):
        return f"None of the {left} networks that can win is measured yet."
    verb = "is" if left == 1 else "are"
    return f"{left} of the {len(able)} networks that can win {verb} not measured yet."


def repeatable(
    question: Question, order: Sequence[Candidate], rows: Sequence[store.Row]
) -> list[Candidate]:
    """Return the candidates whose rows were disturbed, in order: a new search repeats them."""
    if not question.is_timed:
        return []
    found = {place(row) for row in rows if question.applies_to(row) and row["disturbed"]}
    return [each for each in order if each.place in found]


def place(row: store.Row) -> tuple[str, str, int]:
    """Return the ``Candidate.place`` of a row."""
    return row["source"], row["name"], int(row["image_size"])


def prepared(question: Question, minutes: float, own: Candidate | None = None) -> Search:
    """Return a search that has not begun. Raises ``ResultsError`` if a table is missing."""
    found = Search(question, plan(question, known(own), store.figures()), minutes, own)
    if _current is not None and _current.question.device == question.device:
        found.starts += _current.starts
    return found


def start(question: Question, minutes: float, own: Candidate | None = None) -> Search:
    """Begin the one search of this process in the background.

    Raises ``RefusedError`` if the visitor may not measure or a search is running.
    """
    global _current
    visitors.require_owner("Measuring")
    with _TURN:
        if _current is not None and _current.state == "running":
            raise RefusedError("A search is already running: wait for it to end, or stop it.")
        _current = prepared(question, minutes, own)
        threading.Thread(target=_current.run, daemon=True).start()
        return _current


def current() -> Search | None:
    """Return the last search that this process began."""
    return _current


def stop() -> None:
    """Stop the search in the background. Raises ``RefusedError`` if the visitor may not."""
    visitors.require_owner("Stopping a search")
    if _current is not None:
        _current.stop()
