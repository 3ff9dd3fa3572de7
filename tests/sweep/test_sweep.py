"""A sweep from the command line: what is shown, and what is left when one is stopped or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import Forked
from processes import children, listed
from sweeps import planned
from training_runs import wait_for
from typer.testing import CliRunner

from roadmap.cli import app
from roadmap.runs.lock import is_locked
from roadmap.steps import ROADMAPS
from roadmap.sweep.plan import (
    Progress,
    read_progress,
)
from roadmap.sweep.progress_table import seconds_left
from roadmap.text import duration
from roadmap.train.checkpoint import last_step

ROOT = Path(__file__).parents[2]


# -- what is shown ------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "[]", "{}", "{not json", '{"status": "running"'])
def test_a_folder_that_cannot_be_read_waits(content, tmp_path):
    (tmp_path / "run.json").write_text(content)
    assert read_progress(tmp_path) == Progress()
    assert read_progress(tmp_path / "none") == Progress()


def test_time_left_is_by_the_steps_own_epochs(tmp_path):
    first, second, third, _ = planned(tmp_path)
    assert seconds_left([first], {}, 1) is None
    progress = {first: Progress("running", 1, 50.0, 10.0), second: Progress("running", 2, 9.0, 2.0)}
    assert seconds_left([first, second], progress, 1) == 3 * 10 + 2 * 2
    assert seconds_left([first, third], progress, 2) == (3 * 10 + 4 * 10) / 2
    assert [duration(s) for s in (40, 720, 3900)] == ["40 s", "12 min", "1 h 05 min"]


# -- as a person uses it ------------------------------------------------------------------------


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["sweep", *map(str, arguments)])


def test_the_dry_run_says_what_would_be_done(tmp_path):
    done = invoke("--dry-run", "--seeds", 0, 1, 2, "--epochs", 30, "--output", tmp_path)
    assert done.exit_code == 0, done.output
    runs = 3 * len(ROADMAPS["resnet50"].steps)
    assert f"Runs: {runs}, 0 already finished." in done.stdout
    assert "on one NVIDIA H200" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_clusters_devices_are_not_looked_for_on_this_machine(tmp_path):
    done = invoke("--dry-run", "--engine", "ray", "--device", "cuda", "--output", tmp_path)
    assert done.exit_code == 0, done.output
    assert "on one NVIDIA H200" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "nowhere"), "nowhere does not exist"),
        (("--address", "10.0.0.1:6379"), "add --engine ray"),
        (("--ahead", 1, "--engine", "ray"), "--ahead only works with --engine local"),
        (("--step", "kernel7"), "Did you mean 'kernel_7'"),
        (("--lr", "fast"), "--lr is 'fast'"),
        (
            ("--device", "gpu", "--output", "nowhere"),
            "--device is 'gpu', which this machine does not have",
        ),
        (("--ahead", -1), "Invalid value for '--ahead'"),
    ],
)
def test_wrong_options_are_a_sentence(arguments, sentence):
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.output


def test_killed_and_stopped_runs_are_finished_in_the_end(tmp_path):
    """In the end with --ahead: the second starts up, and waits for its turn."""
    command = [sys.executable, "-m", "roadmap", "sweep", "--step", "kernel_7", "--seeds", "0", "1"]
    command += ["--scale", "pocket", "--epochs", "3", "--device", "cpu", "--output", str(tmp_path)]
    first, second = (tmp_path / f"resnet50-kernel_7-seed{seed}" for seed in (0, 1))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def begun(*options: str) -> subprocess.Popen:
        line = [*command, *options]
        return Forked(line, env=environment, stderr=subprocess.PIPE, text=True)

    sweep = begun()
    wait_for(lambda: read_progress(first).epochs)
    [training] = children(sweep.pid)
    os.kill(training, signal.SIGKILL)  # to be tried again, after the other
    wait_for(lambda: read_progress(second).epochs)
    sweep.send_signal(signal.SIGINT)
    assert sweep.wait(120) == 130
    assert "Stopped and saved; 2 runs left. Run the same command to resume." in sweep.stderr.read()
    stopped = read_progress(second)
    assert stopped.status == "interrupted"

    again, together = begun("--ahead", "1"), False
    try:
        while again.poll() is None:
            now = read_progress(second)  # before the other: what holds then still holds for it
            alone = read_progress(first).epochs == 3
            assert alone or now.epochs == stopped.epochs
            together = together or (now.status == "running" and not alone)
            time.sleep(0.05)
    finally:
        again.terminate()
    assert again.returncode == 0, again.stderr.read()
    assert together
    assert [read_progress(folder).status for folder in (first, second)] == ["finished"] * 2
    assert "resuming after step" in (second / "train.log").read_text()


def test_a_sweep_that_is_killed_takes_its_runs_with_it_and_they_save(tmp_path):
    command = [sys.executable, "-m", "roadmap", "sweep", "--step", "kernel_7", "--seeds", "0", "1"]
    command += ["--scale", "pocket", "--epochs", "1000", "--device", "cpu", "--ahead", "1"]
    command += ["--output", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    sweep = Forked(command, env=environment, stderr=subprocess.PIPE, text=True)
    first, second = (tmp_path / f"resnet50-kernel_7-seed{seed}" for seed in (0, 1))
    try:
        # One trains, the other waits for its turn.
        wait_for(lambda: read_progress(first).epochs and is_locked(second))
        runs = children(sweep.pid)
    finally:
        sweep.kill()
        sweep.wait()
    assert len(runs) == 2
    wait_for(lambda: not runs & {process.pid for process in listed()})
    assert [read_progress(folder).status for folder in (first, second)] == ["interrupted"] * 2
    assert all(last_step(folder / "checkpoints") for folder in (first, second))
