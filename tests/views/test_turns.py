"""Sessions that make no pauses work one at a time; readers do not wait for them."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import streamlit as st

from roadmap.views.common import turns
from roadmap.views.common.turns import Pace, turn


def asked(pauses: list[float]) -> list[bool]:
    """Whether a session had to take its turn, for each request after its first."""
    pace, now, said = Pace(), 0.0, []
    pace.ask(now)
    for pause in pauses:
        pace.answered = now
        now += pause
        said.append(pace.ask(now))
    return said


def test_readers_take_no_turns_and_programs_do_once_they_make_no_pause():
    assert not any(asked([2.0, 1.0, 3.0, 1.5] * 5))
    assert asked([0.01] * 5) == [True] * 5
    assert asked([0.01] * 3 + [2.0, 2.0]) == [True, True, True, False, False]
    assert not any(asked([0.8] * 10))  # somebody who clicks Next as fast as one looks


def test_a_long_pause_allows_no_more_than_a_few_requests():
    assert sum(not waits for waits in asked([3600.0] + [0.0] * 20)) <= 7


@pytest.fixture
def session(monkeypatch):
    """Sets the pace of the session of this thread."""
    local = threading.local()

    class State:
        def setdefault(self, name, _):
            return getattr(local, name)

    monkeypatch.setattr(st, "session_state", State())

    def start(pause: float) -> None:
        local.pace = Pace(pause, answered=0.0)
        local.pace.ask = lambda _: pause < turns.HASTY

    return start


def at_once(session, pauses: list[float], patience: float = 60) -> int:
    """How many of the sessions work at the same time at most, if each works until all do, for at
    most ``patience`` seconds."""
    entered, together, most = threading.Condition(), [0], [0]

    def work(pause: float) -> None:
        session(pause)
        with turn():
            with entered:
                together[0] += 1
                most[0] = max(most[0], together[0])
                entered.notify_all()
                entered.wait_for(lambda: most[0] == len(pauses), timeout=patience)
            with entered:
                together[0] -= 1

    threads = [threading.Thread(target=work, args=(pause,)) for pause in pauses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most[0]


def test_programs_work_one_at_a_time_and_readers_beside_them(session):
    assert at_once(session, [0.0, 0.0, 0.0], patience=0.2) == 1
    assert at_once(session, [2.0, 2.0, 2.0]) == 3
    assert at_once(session, [0.0, 2.0]) == 2


def test_a_part_of_a_page_works_within_the_pages_turn_and_errors_give_it_back(session):
    session(0.0)
    with pytest.raises(KeyError), ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(turn())
        raise KeyError
    assert turns._one.acquire(blocking=False)
    turns._one.release()


def test_nobody_waits_for_ever(session, monkeypatch):
    monkeypatch.setattr(turns, "LONGEST", 0.01)
    session(0.0)
    with turns._one, turn():
        pass
    assert turns._one.acquire(blocking=False)
    turns._one.release()


def test_a_program_rests_as_long_as_it_worked_while_there_are_readers(session, monkeypatch):
    now, rests = [100.0], []
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=rests.append)
    monkeypatch.setattr(turns, "time", clock)
    monkeypatch.setattr(turns, "_reader_seen", float("-inf"))

    def work(pause, seconds):
        session(pause)
        with turn():
            now[0] += seconds

    work(0.0, 0.5)
    assert rests == []  # nobody is disturbed
    work(2.0, 0.5)  # a reader
    work(0.0, 0.25)
    work(0.0, 2.0)
    assert rests == [0.25, turns.LONGEST_REST]
    now[0] += turns.PRESENT
    work(0.0, 0.5)
    assert len(rests) == 2  # the reader has left
