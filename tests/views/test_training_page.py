"""The page of training, run by Streamlit's own test harness on runs that nobody trained."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pages
import pytest
from fake_runs import write_run
from pages import checked, html

from roadmap.runs import reader
from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.steps import ROADMAPS
from roadmap.sweep import background
from roadmap.views.ablations import data as ablations_data

opened = partial(pages.opened, "training")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("root")
def test_it_opens_with_a_form_and_says_what_it_trains():
    app = opened()
    assert "handwritten digits" in html(app)
    assert app.button(key="ablations-go").label == "Start"
    assert "No training is running." in html(app)
    assert "python -m roadmap sweep --roadmap resnet50 --data PATH" in html(app)


def test_the_roadmap_is_chosen_and_in_the_url(root):
    write_run(root, "baseline", 0, 50.0)
    app = opened(roadmap="resnet200")
    assert app.selectbox(key="training-roadmap").value == "resnet200"
    app.selectbox(key="training-roadmap").set_value("torchvision_recipe")
    checked(app.run())
    assert pages.address(app)["roadmap"] == "torchvision_recipe"
    assert html(opened(roadmap="resnet51")).count('class="notice"') == 1


def test_a_run_that_fine_tunes_or_is_of_a_design_is_listed_while_it_runs(root, monkeypatch):
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    assert "No training is running." in html(opened())
    start = {"weights": "mine.safetensors", "sha256": "0" * 64, "head": "new"}
    start |= {"network": "resnet50:gelu of width 16", "layer_decay": 0.75, "frozen_stages": 0}
    point = {"design": "small", "key": "007", "role": "fit", "levels": {}}
    for seed, more in enumerate(({"start": start}, {"point": point}, {})):
        write_run(root, "gelu", seed, data="digits-30-epochs", done=1, **more)
    time.sleep(ablations_data.FRESH)
    rows = html(opened()).split("Running</h3>")[1]
    for title in ("ReLU to GELU, fine-tuned", "Run 007 of design small", "ReLU to GELU"):
        assert f"<td>{title}, seed" in rows
    assert rows.count("<td>Digits, 30 epochs</td>") == 3
    assert "digits-30" not in rows


@pytest.fixture
def sleeper(root, monkeypatch):
    """In place of training, a process that only waits; whatever is left is stopped."""
    code = "import time; print('here', flush=True); time.sleep(60)"
    command = property(lambda _: lambda _: [sys.executable, "-c", code])
    monkeypatch.setattr(background.Task, "command", command)
    yield root
    background.stop(root)


def until_ended(root):
    deadline = time.monotonic() + 20
    while background.is_running(root):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_start_and_stop_for_everyone(sleeper):
    app, other = opened(), opened()
    app.selectbox(key="ablations-step-resnet50").set_value("gelu")
    app.number_input(key="ablations-epochs").set_value(2)
    app.run()
    app.button(key="ablations-go").click()
    checked(app.run())
    assert "starting" in html(app)
    assert background.read_task(sleeper).runs == ("resnet50-gelu-seed0",)
    other.button(key="ablations-go").click()  # a page that does not know yet
    assert "starting" in html(checked(other.run()))
    assert "ablations-go" not in [button.key for button in opened().button]
    app.button(key="ablations-stop").click()
    checked(app.run())
    until_ended(sleeper)
    assert "Last task: ReLU to GELU, seed 0, 2 epochs." in html(checked(app.run()))


def test_one_at_a_time_and_the_dead_do_not_block(sleeper):
    task = background.Task(roadmap="resnet50", steps=("gelu",), seeds=(0,), epochs=1)
    background.start(sleeper, task)
    with pytest.raises(background.RefusedError, match="Training is already running"):
        background.start(sleeper, task)
    os.kill(background.read_task(sleeper).pid, signal.SIGKILL)
    until_ended(sleeper)
    background.start(sleeper, task)
    assert background.is_running(sleeper)


#: Starts a task that only waits, and dies as a test that is killed does.
KILLED_TEST = """
import os, signal, sys
from pathlib import Path
from ended_tasks import ended_tasks
from roadmap.sweep import background

root = Path(sys.argv[1])
command = [sys.executable, "-c", "import time; time.sleep(60)"]
background.Task.command = lambda *_: command
with ended_tasks(root):
    task = background.Task(roadmap="resnet50", steps=("gelu",), seeds=(0,), epochs=1)
    background.start(root, task)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_training_does_not_outlive_tests_that_are_killed(root):
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", KILLED_TEST, str(root)]
    killed = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert background.read_task(root) is not None
    until_ended(root)


def test_training_that_was_killed_is_said_to_have_been(sleeper):
    task = background.Task(roadmap="resnet50", steps=("gelu",), seeds=(0,), epochs=9)
    background.start(sleeper, task)
    os.kill(background.read_task(sleeper).pid, signal.SIGKILL)
    until_ended(sleeper)
    output = sleeper / background.FOLDER / background.OUTPUT
    output.write_text("resnet50-gelu-seed0: epoch 3/9 81.11%\n")
    killed = "Its process was killed at ReLU to GELU, seed 0: epoch 3/9 81.11%. Start it again"
    assert killed in html(opened())


def test_a_file_system_without_locks_is_answered(root, monkeypatch):
    def refused(*_arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(background.fcntl, "flock", refused)
    task = background.Task(roadmap="resnet50", steps=("gelu",), seeds=(0,), epochs=1)
    with pytest.raises(background.RefusedError, match="file system without locks"):
        background.start(root, task)


def test_a_seed_that_is_new_is_proposed_and_finished_runs_are_said(root):
    for seed in (0, 1):
        write_run(root, "baseline", seed, data="digits", epochs=15)
    app = opened()
    assert app.number_input(key="ablations-seed").value == 2
    assert "1 run on the digits data set." in html(app)
    app.number_input(key="ablations-seed").set_value(1)
    assert "1 run on the digits data set; already finished, so choose another seed" in html(
        checked(app.run())
    )
    app.segmented_control(key="ablations-kind").set_value("sweep")
    assert "runs on the digits data set; 2 already finished." in html(checked(app.run()))


def test_a_folder_that_cannot_be_written_is_answered(root, monkeypatch):
    (root / "file").write_text("")
    monkeypatch.setenv(RUNS_VARIABLE, str(root / "file"))
    app = opened()
    app.button(key="ablations-go").click()
    assert "Training cannot be started" in html(checked(app.run()))


@pytest.mark.parametrize("content", ["", "[]", '{"pid": 1}', '{"roadmap": "x", "steps": [1]}'])
def test_a_damaged_task_file_breaks_nothing(root, content):
    (root / background.FOLDER).mkdir()
    (root / background.FOLDER / background.TASK).write_text(content)
    assert background.read_task(root) is None
    assert "No training is running." in html(opened())


def test_the_command_is_a_pocket_sweep(tmp_path):
    task = background.Task(roadmap="resnet50", steps=("gelu",), seeds=(3,), epochs=15)
    assert task.data == "digits"
    words = task.command(tmp_path)
    assert words[2:] == [
        *("roadmap", "sweep", "--roadmap", "resnet50", "--step", "gelu", "--seeds", "3"),
        *("--scale", "pocket", "--device", "cpu", "--output", str(tmp_path / "digits")),
    ]
    short = background.Task(roadmap="resnet50", steps=(), seeds=(0, 1), epochs=2)
    assert short.data == "digits-2-epochs"
    assert len(short.runs) == 2 * len(ROADMAPS["resnet50"].steps)
