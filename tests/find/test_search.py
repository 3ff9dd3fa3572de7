"""The loop over candidates: with measurements that are given here, then with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from finder_rows import MACHINE, candidate, question, row
from forked import Forked
from processes import children, listed

from roadmap.find import search, store
from roadmap.find.search import MOST_ATTEMPTS, prepared

SMALL_APP = Path(__file__).parents[1] / "support" / "small_finder.py"
NETWORKS = [
    candidate("a", 81.0, known={"i9_images_per_s": 300.0}),
    candidate("b", 82.0, known={"i9_images_per_s": 200.0}),
    candidate("c", 83.0, 8.0, family="b", known={"i9_images_per_s": 100.0}),  # cannot win
    candidate("d", 70.0),
]


class GivenJob:
    """A measurement with a given outcome: a row, or the sentence of a failure."""

    given: ClassVar[deque[dict[str, str] | str]] = deque()
    asked: ClassVar[list[str]] = []

    def __init__(self, task: str, **request: object):
        assert task == "measure_candidate"
        self.asked.append(str(request["name"]))
        outcome = self.given.popleft() if self.given else row(str(request["name"]), 100)
        self.state = "failed" if isinstance(outcome, str) else "done"
        self.error = self.result = outcome

    def start(self) -> GivenJob:
        return self

    def look(self) -> str:
        return self.state


@pytest.fixture
def given(monkeypatch):
    """Return a function that sets the outcomes and gives the list of networks asked for."""
    monkeypatch.setattr(search, "Job", GivenJob)
    monkeypatch.setattr(search, "candidates", lambda: tuple(NETWORKS))
    GivenJob.asked.clear()
    GivenJob.given.clear()

    def given(*outcomes):
        GivenJob.given.extend(outcomes)
        return GivenJob.asked

    return given


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by ``step`` seconds with each measurement."""

    class Clock:
        now, step = 0.0, 0.0

    def start(job: GivenJob) -> GivenJob:
        Clock.now += Clock.step
        return job

    monkeypatch.setattr(search, "time", SimpleNamespace(monotonic=lambda: Clock.now))
    monkeypatch.setattr(GivenJob, "start", start)
    return Clock


def busy(name: str, speed: float = 100) -> dict[str, str]:
    return row(name, speed, disturbed="other processes used 50% of the machine's cores")


def run(minutes: float = 10, asked=None) -> search.Search:
    found = prepared(asked or question(), minutes)
    found.run()
    return found


def test_candidates_are_measured_in_order_and_stored(given):
    asked = given()
    found = run()
    assert (found.state, found.measured) == ("done", 3)
    assert asked == ["a", "b", "c"]
    assert [each["name"] for each in store.rows()] == ["a", "b", "c"]


def test_what_is_measured_is_not_measured_again(given):
    asked = given()
    store.add(row("b", 100))
    store.add(row("a", 100, dtype="bf16"))  # under other conditions
    assert run().state == "done"
    assert asked == ["a", "c"]
    assert run().measured == 0


def test_disturbed_leaders_are_repeated_before_what_cannot_win_the_others_at_the_end(given):
    asked = given(busy("a", 10), busy("b", 100), row("b", 120), row("c", 50), row("a", 20))
    found = run()
    assert asked == ["a", "b", "b", "c", "a"]
    assert (found.measured, found.repeats, found.state) == (3, 2, "done")
    assert {each["name"]: each["images_per_s"] for each in store.rows()} == {
        "a": "20",
        "b": "120",
        "c": "50",
    }
    assert found.busy == ""


def test_the_last_of_the_time_repeats_disturbed_leaders(given, clock):
    """Even if a network that may win is not measured yet; at most a third of the time."""
    asked = given(busy("a", 100), busy("b", 110), row("a", 110), row("b", 120), row("e", 10))
    networks = [*NETWORKS[:2], candidate("e", 81.0, known={"i9_images_per_s": 100.0})]
    planned = search.plan(question(), networks, [])
    clock.step = 10
    search.Search(question(), planned, minutes=48 / 60).run()
    assert asked == ["a", "b", "e", "a", "b"]
    asked.clear()
    store.path().unlink()
    given(busy("a", 100), row("b", 90), row("a", 110), row("e", 10))
    search.Search(question(), planned, minutes=40 / 60).run()
    assert asked == ["a", "b", "a", "e"]


def test_predictions_learn_how_long_measurements_take_on_this_machine(given, clock, monkeypatch):
    given()
    clock.step = 30
    found = prepared(question(), 60)
    before = found.rates.seconds(NETWORKS[0])
    found.run()
    assert before < 10
    assert found.starts == [pytest.approx(30, abs=1)] * 3
    assert found.rates.seconds(NETWORKS[0]) == pytest.approx(30, abs=1)
    monkeypatch.setattr(search, "_current", found)  # the page continues it
    assert prepared(question(), 60).starts == found.starts
    assert prepared(question(device="cuda", device_name="GPU"), 60).starts == []


def test_memory_is_not_measured_again_since_other_work_does_not_change_it(given):
    asked = given(busy("a"), busy("b"), busy("c"))
    found = run(asked=question(objective="memory"))
    assert (asked, found.repeats, found.busy) == (["a", "b", "c"], 0, "")
    assert search.repeatable(question(objective="memory"), NETWORKS, store.rows()) == []
    assert len(search.repeatable(question(), NETWORKS, store.rows())) == 3


def test_a_machine_that_stays_busy_ends_the_repetitions(given):
    asked = given(*[busy(name) for name in "ab" * MOST_ATTEMPTS], *[busy("c")] * MOST_ATTEMPTS)
    found = run()
    assert found.state == "done"
    assert sorted(asked) == sorted("abc" * MOST_ATTEMPTS)
    assert "50%" in found.busy
    assert all(each["disturbed"] for each in store.rows())


def test_a_new_search_repeats_what_was_disturbed(given):
    asked = given()
    for name in "abc":
        store.add(busy(name))
    found = run()
    assert sorted(asked) == ["a", "b", "c"]
    assert (found.measured, found.repeats) == (0, 3)
    assert not any(each["disturbed"] for each in store.rows())


def test_a_failure_is_a_sentence_and_the_others_go_on(given):
    given(row("a", 100), "The process was killed, probably out of memory: try a smaller batch.")
    found = run()
    assert found.state == "done"
    assert list(found.failures) == ["b"]
    assert [each["name"] for each in store.rows()] == ["a", "c"]


def test_time_that_is_over_ends_it_before_the_next_network(given):
    asked = given()
    found = run(minutes=0)
    assert (found.state, asked) == ("out of time", [])


def test_a_stopped_search_keeps_what_it_has_and_says_so(given):
    asked = given()
    found = prepared(question(), 10)
    found.on_change = lambda: found.stop() if found.measured == 2 else None
    found.run()
    assert (found.state, asked) == ("stopped", ["a", "b"])
    assert run().measured == 1


def test_a_table_that_cannot_be_written_is_a_sentence(given, table):
    given()
    table.mkdir(parents=True)  # a folder in its place
    found = run()
    assert found.state == "failed"
    assert "finder.csv cannot be written" in found.problem


def test_what_is_left_is_counted_among_the_networks_that_can_win(given):
    given()

    def left() -> str:
        found = search.plan(question(), NETWORKS, [])
        return search.unmeasured(question(), found, store.rows())

    assert left() == "None of the 2 networks that can win is measured yet."
    store.add(row("c", 100))  # cannot win
    store.add(row("a", 100))
    assert left() == "1 of the 2 networks that can win is not measured yet."
    store.add(row("b", 100))
    assert left() == ""
    found = search.plan(question(), NETWORKS[:1], [])
    store.path().unlink()
    only = search.unmeasured(question(), found, store.rows())
    assert only == "The only network that can win is not measured yet."


# Real processes


def command(folder: Path, *options: str) -> subprocess.Popen[str]:
    words = ["--device", "cpu", "--top1", "70", "--dtype", "float32", "--format", "csv"]
    return Forked(
        [sys.executable, str(SMALL_APP), *words, *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", store.VARIABLE: str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(folder: Path) -> list[str]:
    path = folder / "finder.csv"
    return path.read_text().splitlines()[1:] if path.exists() else []


def until(condition, seconds: float = 120):
    for _ in range(int(seconds / 0.02)):
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


@pytest.mark.parametrize("measured", [0, 1])
def test_killed_it_loses_nothing_leaves_no_process_and_continues(tmp_path, measured):
    """Killed during the first measurement, or the second."""
    process = command(tmp_path)
    started = until(lambda: len(lines(tmp_path)) >= measured and children(process.pid))
    process.kill()
    process.communicate()
    kept = lines(tmp_path)
    until(lambda: not started & {each.pid for each in listed()})
    again = command(tmp_path)
    text, said = again.communicate(timeout=240)
    assert again.returncode == 0, said
    assert f"({len(kept)} already measured" in said
    found = {line.split(",")[1] for line in lines(tmp_path)}
    assert found == {"test_efficientnet", "test_resnet", "test_vit"}
    assert {line.split(",")[1] for line in kept} <= found
    assert len(text.splitlines()) == 4


def test_interrupted_it_says_how_to_continue_and_answers_from_what_it_has(tmp_path):
    process = command(tmp_path)
    until(lambda: len(lines(tmp_path)) > 0 or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    text, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "Stopped and saved. Run the same command to continue." in said
    assert "was not measured" not in said
    assert len(text.splitlines()) >= 2
    assert MACHINE not in text
