"""A sweep tries failures again, shares GPUs, and waits where another process trains."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import replace

import pytest
from forked import Forked
from sweeps import planned, training_in, write_metrics, write_run
from training_runs import wait_for

from roadmap.errors import FolderInUseError, RefusedError
from roadmap.sweep import scheduler
from roadmap.sweep.engine import TURN, Ending, LocalEngine, _visible, failed, failure_line
from roadmap.sweep.plan import (
    PlannedRun,
    plan_runs,
)
from roadmap.sweep.progress_table import ProgressTable
from roadmap.sweep.scheduler import State, schedule
from roadmap.sweep.worker import _turn
from roadmap.train.stopping import Signals, ask_to_stop


class Scripted:
    """An engine whose runs end at once, with the codes that the test gives."""

    slots = 2

    def __init__(self, codes: dict[str, list[int]]):
        self.codes, self.started, self._now = codes, [], []

    def start(self, run: PlannedRun) -> None:
        assert len(self._now) < self.slots
        self.started.append(run.name)
        self._now.append(run)

    def starting(self) -> list[PlannedRun]:
        return []

    def running(self) -> list[PlannedRun]:
        return self._now

    def endings(self) -> list[Ending]:
        ended, self._now = self._now, []
        return [Ending(run, self.codes.get(run.name, [0]).pop(0), "why") for run in ended]

    def stop(self) -> None:
        """Jobs end here as soon as they are looked at."""


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(scheduler, "PAUSE", 0)


def swept(runs, engine, stopped=lambda: False):
    return schedule(runs, engine, lambda _state, _training, _starting: None, stopped)


@pytest.mark.usefixtures("no_pause")
def test_failures_are_tried_once_more_and_refusals_are_not(tmp_path):
    runs = planned(tmp_path)
    engine = Scripted(
        {
            "resnet50-kernel_7-seed0": [1, 0],
            "resnet50-gelu-seed0": [3, 3],
            "resnet50-kernel_7-seed1": [2],
            "resnet50-gelu-seed1": [0],
        }
    )
    state = swept(runs, engine)
    assert [run.name for run in state.done] == [
        "resnet50-gelu-seed1",
        "resnet50-kernel_7-seed0",
    ]
    assert [(ending.run.name, ending.code) for ending in state.failed] == [
        ("resnet50-kernel_7-seed1", 2),
        ("resnet50-gelu-seed0", 3),
    ]
    assert engine.started.count("resnet50-gelu-seed0") == 2
    assert engine.started.count("resnet50-kernel_7-seed1") == 1


@pytest.mark.usefixtures("no_pause")
def test_what_is_stopped_waits_for_the_same_command(tmp_path):
    runs = planned(tmp_path)
    looks = iter([False, True, False, True])
    state = swept(runs, Scripted({"resnet50-gelu-seed0": [1]}), stopped=lambda: next(looks))
    assert state.done == [runs[0]]
    assert sorted(run.name for run in state.waiting) == sorted(run.name for run in runs[1:])
    engine = Scripted({})
    engine.endings = lambda: write_run(runs[0]) or []  # it finishes while it is being stopped
    state = swept(runs, engine, stopped=lambda: next(looks))
    assert state.done == [runs[0]]
    assert set(state.waiting) == set(runs[1:])


class Process:
    """What ``LocalEngine`` starts, without a process."""

    def __init__(self, _command, *, env, **_more):
        self.stdin, self.stdout, self.code = Told(), io.BytesIO(), None
        self.gpu = env.get("CUDA_VISIBLE_DEVICES")

    def poll(self) -> int | None:
        return self.code

    @property
    def may_train(self) -> bool:
        return self.stdin.heard.endswith(b"\n.")


class Told(io.BytesIO):
    """What was written to it, also once closed."""

    heard = b""

    def write(self, text: bytes) -> int:
        self.heard += text
        return len(text)


@pytest.fixture
def processes(monkeypatch):
    """Of an engine, in the order of their start."""
    started = []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def start(*arguments, **more):
        started.append(Process(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


@pytest.mark.usefixtures("no_pause")
def test_a_folder_that_cannot_be_written_is_named_and_the_others_go_on(tmp_path, processes):
    runs = planned(tmp_path)
    for run in runs[:3]:
        run.folder.write_text("a file")
    engine = LocalEngine(ahead=1)
    state = swept(runs, engine, stopped=lambda: any(setattr(p, "code", 0) for p in processes))
    assert state.done == [runs[3]]
    assert [ending.reason for ending in state.failed] == [
        f"{run.folder} cannot be written: File exists" for run in runs[:3]
    ]


def test_a_terminal_shows_a_row_a_step_and_a_column_a_seed(tmp_path, monkeypatch, capsys):
    steps = planned(tmp_path, steps=("baseline",))
    [recipe] = plan_runs("torchvision_recipe", ["baseline"], (), [0], tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with ProgressTable([*steps, recipe], 1) as table:
        table.show(State(deque(steps[:1])), [recipe], steps[1:])
    shown = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().err)  # without bold
    rows = [line.split("│")[1:-1] for line in shown.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["resnet50 baseline", "waits", "starting"],
        ["torchvision_recipe baseline", "epoch 0/90", ""],
    ]


def test_a_run_that_was_stopped_is_said_to_wait_where_it_stands(tmp_path, capsys):
    runs = planned(tmp_path)
    for run, status in zip(runs, ("finished", "interrupted", "running"), strict=False):
        write_run(run, status)
        write_metrics(run, [50, 60.5])
    table = ProgressTable(runs, 1)
    table.show(State(deque(runs[1:2] + runs[3:]), done=runs[:1]), runs[2:3], [])
    table.show(State(deque(runs[1:]), done=runs[:1]), [], [])
    assert capsys.readouterr().err.splitlines() == [
        f"{runs[0].name}: finished 60.50%",
        f"{runs[1].name}: waits at epoch 2/4",
        f"{runs[2].name}: epoch 2/4 60.50%",
        f"{runs[2].name}: waits at epoch 2/4",
    ]


@pytest.mark.parametrize(("epochs", "age", "trains"), [(3, 0, False), (4, 0, True), (4, 60, False)])
def test_the_next_trains_once_one_has_only_results_to_write(
    tmp_path, processes, epochs, age, trains
):
    runs = planned(tmp_path)
    engine = LocalEngine(ahead=1)
    for run in runs[:2]:
        engine.start(run)
    write_run(runs[0], "running")
    metrics = write_metrics(runs[0], [50] * epochs)
    written = time.time() + 1 - age  # an earlier try's, where it is from before the start
    os.utime(metrics, (written, written))
    assert engine.endings() == []
    assert processes[1].may_train == trains
    assert engine.starting() == ([] if trains else [runs[1]])


def test_on_each_gpu_one_trains_and_one_waits(tmp_path, processes):
    runs = planned(tmp_path, seeds=(0, 1, 2))
    engine = LocalEngine(range(2), ahead=1)
    assert (engine.slots, engine.devices) == (4, 2)
    for run in runs[:4]:
        engine.start(run)
    assert [process.gpu for process in processes] == ["0", "1", "0", "1"]
    assert [process.may_train for process in processes] == [True, True, False, False]
    processes[1].code = processes[2].code = 0
    assert [ending.run for ending in engine.endings()] == [runs[1], runs[2]]
    assert [process.may_train for process in processes] == [True, True, False, True]
    engine.start(runs[4])
    engine.start(runs[5])
    assert [process.gpu for process in processes[4:]] == ["1", "0"]
    processes[0].code = -9
    assert engine.endings()[0].code == 137
    assert [process.may_train for process in processes[4:]] == [False, True]


def test_two_ahead_wait_in_order(tmp_path, processes):
    runs = planned(tmp_path, seeds=(0, 1))
    engine = LocalEngine(ahead=2)
    for run in runs[:3]:
        engine.start(run)
    assert engine.starting() == runs[1:3]
    processes[0].code = 0
    assert [ending.run for ending in engine.endings()] == runs[:1]
    assert engine.starting() == [runs[2]]


@pytest.mark.parametrize("given", [True, False])
def test_a_run_trains_when_told_and_stops_when_its_sweep_has_died(given):
    ends = os.pipe()
    told, telling = os.fdopen(ends[0], "rb", 0), os.fdopen(ends[1], "wb", 0)
    with Signals() as signals, told, telling:
        turn = _turn(told)
        assert not turn.wait(0.05)
        if given:
            telling.write(TURN)
            assert turn.wait(60)
        assert not signals.number
        telling.close()
        wait_for(lambda: signals.number)
        assert (turn.is_set(), signals.number) == (given, signal.SIGTERM)


def test_a_run_that_was_asked_to_save_still_saves_when_its_sweep_dies(monkeypatch):
    with Signals() as signals:
        signal.raise_signal(signal.SIGINT)
        ask_to_stop()  # a second signal would end this process
        assert signals.number == signal.SIGINT
    raised = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    with Signals():
        ask_to_stop()
    assert raised == [signal.SIGTERM]


def test_the_reason_of_a_failure_is_its_own(tmp_path, monkeypatch):
    """Not the last line of the log, which another process may have written."""
    runs = planned(tmp_path, scale="pocket")
    refused, other, held, killed = runs
    write_run(refused, "interrupted", scale="pocket", step=other.settings.step)
    engine = LocalEngine(ahead=2)
    found: dict[PlannedRun, Ending] = {}
    with training_in(held.folder) as process:
        engine.start(refused)  # in an interpreter of its own, as no other test here
        monkeypatch.setattr(subprocess, "Popen", Forked)
        for run in (held, killed):
            engine.start(run)
        os.kill(engine._planned[killed].process.pid, signal.SIGKILL)
        for run in (refused, held, killed):
            with (run.folder / "train.log").open("a") as log:
                log.write("epoch 3/4: a line of another process\n")
        wait_for(lambda: found.update({e.run: e for e in engine.endings()}) or len(found) == 3)
        process.stdin.close()
    assert found[refused].code == found[held].code == RefusedError.code
    assert "holds another run" in found[refused].reason
    assert "another process is training in" in found[held].reason
    assert (found[refused].in_use, found[held].in_use) == (False, True)
    assert found[killed].code == 128 + signal.SIGKILL
    assert found[killed].reason == "its process was ended by SIGKILL, probably out of memory"
    assert "Traceback" not in (refused.folder / "train.log").read_text()


def test_what_an_error_says_is_its_reason(tmp_path):
    [run, *_] = planned(tmp_path)
    fault = failure_line(ValueError("the sizes do not match\nand more"))
    assert failed(run, 1, fault) == Ending(run, 1, "ValueError: the sizes do not match")
    assert failed(run, 2, failure_line(FolderInUseError("x"))) == Ending(run, 2, "x", in_use=True)
    assert len(failure_line(RefusedError("x" * 10**6))) < 4096  # what any pipe takes at once
    assert "exit code 1" in failed(run, 1, "").reason
    assert "exit code 255" in failed(run, 255, fault[:9]).reason


@pytest.mark.usefixtures("no_pause")
def test_what_another_process_trains_waits_for_it_and_the_others_go_on(tmp_path, capsys):
    first, second, *_ = runs = planned(tmp_path, seeds=(0,))
    engine = Scripted({run.name: [0] for run in runs})
    table, process = ProgressTable(runs, 1), training_in(first.folder)

    def watch(state, training, starting):
        table.show(state, training, starting)
        if second in state.done and process.poll() is None:
            assert engine.started == [second.name]
            write_run(first)
            process.communicate()

    state = schedule(runs, engine, watch, lambda: False)
    assert (state.done, state.failed) == ([second, first], [])
    assert engine.started == [second.name]  # the other process has finished it
    said = capsys.readouterr().err
    assert f"{first.name}: waiting: another process is training it" in said
    assert f"{first.name}: finished" in said


@pytest.mark.usefixtures("no_pause")
def test_a_run_that_was_in_use_is_tried_again_and_not_counted_as_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "IN_USE", 0)
    [run] = planned(tmp_path, steps=("gelu",), seeds=(0,))
    engine = Scripted({run.name: [2, 2, 2, 1, 0]})
    endings = engine.endings
    engine.endings = lambda: [replace(e, in_use=e.code == 2) for e in endings()]
    state = swept([run], engine)
    assert (state.done, state.failed, len(engine.started)) == ([run], [], 5)


@pytest.mark.usefixtures("no_pause")
def test_a_sweep_that_waits_for_another_process_can_be_stopped(tmp_path):
    [run] = planned(tmp_path, steps=("gelu",), seeds=(0,))
    with training_in(run.folder) as process:
        looks = iter([False, False, True])
        state = swept([run], Scripted({}), stopped=lambda: next(looks))
        process.stdin.close()
    assert list(state.waiting) == [run]


def test_a_gpu_is_one_of_those_that_were_given():
    assert _visible(1, [""]) == "1"
    assert _visible(1, ["3", "GPU-5"]) == "GPU-5"


@pytest.mark.usefixtures("no_pause")
def test_finished_runs_are_not_started(tmp_path):
    runs = planned(tmp_path)
    write_run(runs[2])
    engine = Scripted({run.name: [0] for run in runs})
    assert len(swept(runs, engine).done) == 4
    assert runs[2].name not in engine.started


@pytest.mark.usefixtures("no_pause")
def test_when_stopped_nothing_more_is_started(tmp_path):
    runs = planned(tmp_path)
    engine = Scripted({run.name: [0] for run in runs})
    state = swept(runs, engine, stopped=lambda: len(engine.started) >= 2)
    assert len(engine.started) == len(state.done) == 2
    assert not engine.running()
