"""The page of training, run by Streamlit's own test harness on runs that nobody trained."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from statistics import fmean

import pages
import pytest
from browser import ROOT
from cifar_server import served_cifar
from data_sets import make_folder
from ended_tasks import ended_tasks
from fake_runs import write_run
from pages import checked, html

from roadmap.runs import reader
from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.steps import ROADMAPS
from roadmap.study.design import read_design
from roadmap.sweep import background
from roadmap.sweep.plan import design_runs
from roadmap.tables.results import RESULTS
from roadmap.train.data import downloads
from roadmap.views.common import all_runs

opened = partial(pages.opened, "training")


@pytest.mark.usefixtures("root")
def test_it_opens_with_a_form_for_data_that_can_tell_the_steps_apart():
    app = opened()
    assert app.selectbox(key="training-data").value == "torch/cifar100"
    assert app.segmented_control(key="training-kind").value == "change"
    said = (
        "6 runs of ResNet-50 (baseline) and Modern training recipe, 3 seeds each, small networks "
        "at 32 pixels for 15 epochs."
    )
    assert said in html(app)
    assert "The recipe is made for 300 epochs: in 15 epochs it may lose" in html(app)
    assert "Digits cannot rank the steps" not in html(app)
    assert app.button(key="training-go").label == "Start"
    assert "python -m roadmap sweep --roadmap resnet50 --data PATH" in html(app)


def test_the_roadmap_is_chosen_and_in_the_url(root):
    write_run(root, "baseline", 0, 50.0)
    app = opened(roadmap="resnet200")
    assert app.selectbox(key="training-roadmap").value == "resnet200"
    app.selectbox(key="training-roadmap").set_value("torchvision_recipe")
    checked(app.run())
    assert pages.address(app)["roadmap"] == "torchvision_recipe"
    assert html(opened(roadmap="resnet51")).count('class="notice"') == 1


def test_digits_come_with_a_caution_in_figures_of_the_committed_runs():
    app = opened()
    app.selectbox(key="training-data").set_value("digits")
    page = html(checked(app.run()))
    runs = reader.read_runs(RESULTS / "runs").runs
    for step, published in (("baseline", "76.1%"), ("separate_downsampling", "82.0%")):
        scores = [
            r.top1 for r in runs if (r.data, r.roadmap, r.step) == ("digits", "resnet50", step)
        ]
        assert f"{fmean(scores):.1f}%" in page
        assert published in page
    assert page.count("Digits cannot rank the steps") == 1


SMALL = "A small data set cannot give ImageNet"


def committed(name: str, epochs: int) -> float:
    """Mean top-1 of the experiment's runs of ``epochs`` whose folder begins with ``name``."""
    runs = [
        run
        for run in reader.read_runs(RESULTS / "runs").every
        if run.path.parent.name == "tiny-imagenet-100" and run.path.name.startswith(f"{name}-")
    ]
    return fmean(run.top1 for run in runs if run.finished and run.recipe["epochs"] == epochs)


def test_a_small_set_comes_with_what_it_can_show_in_figures_of_the_committed_runs():
    page = html(opened())
    gain = committed("resnet50-training", 30) - committed("resnet50-baseline", 30)
    assert f"gains {gain:.1f} points in 30 epochs" in page
    last, recipe = (
        committed(f"confirmation-{key}", 120) for key in ("separate_downsampling", "training")
    )
    assert last < recipe  # else the sentence is wrong
    assert f"ConvNeXt-T scores {last:.1f}%, ResNet-50 with that recipe {recipe:.1f}%" in page
    assert "on ImageNet 82.0% and 78.8%." in page
    assert page.count(SMALL) == 1
    assert 'href="effects?data=tiny-imagenet-100&amp;view=orders"' in page


def test_the_caution_is_for_small_sets_of_ones_own_too_but_not_for_large_ones(root, tmp_path):
    def page(**parameters):
        app = opened(**parameters)
        app.selectbox(key="training-data").set_value("own")
        app.run()
        app.text_input(key="training-own").set_value(str(tmp_path / "mine" / "pets"))
        return html(checked(app.run()))

    (tmp_path / "mine" / "pets").mkdir(parents=True)
    assert page().count(SMALL) == 1  # nobody knows how many images it has
    for images, cautions in ((99_999, 1), (100_000, 0)):
        folder = write_run(root, "gelu", data="pets", train_images=images)
        time.sleep(all_runs.FRESH)
        assert page().count(SMALL) == cautions
        shutil.rmtree(folder)
    assert SMALL not in page(roadmap="torchvision_recipe")  # it has no networks to rank


def test_a_link_opens_the_studys_steps_and_an_unknown_kind_is_said():
    assert 'href="training?kind=study"' in html(opened())
    app = opened(kind="study")
    assert app.segmented_control(key="training-kind").value == "study"
    assert 'href="training?kind=study"' not in html(app)
    assert "--design results/designs/small_data.json" in html(app)
    assert "28 runs: each step of" in html(app)
    assert "The URL parameter kind is &#x27;steps&#x27;." in html(opened(kind="steps"))


def test_a_change_trains_a_step_and_the_one_that_it_is_compared_with(sleeper):
    app = opened()
    assert "baseline" not in str(app.selectbox(key="training-change-resnet50").options)
    app.selectbox(key="training-change-resnet50").set_value("gelu")
    assert "The recipe is made for" not in html(checked(app.run()))
    app.number_input(key="training-seeds").set_value(2)
    app.run()
    app.button(key="training-go").click()
    checked(app.run())
    task = background.read_task(sleeper)
    before = ROADMAPS["resnet50"].previous("gelu")
    assert (task.steps, task.seeds) == ((before.key, "gelu"), (0, 1))
    background.stop(sleeper)
    until_ended(sleeper)
    app = opened()  # the form remembers the change
    assert app.segmented_control(key="training-kind").value == "change"
    assert app.selectbox(key="training-change-resnet50").value == "gelu"


def test_own_images_need_a_folder_that_exists(tmp_path):
    app = opened()
    app.selectbox(key="training-data").set_value("own")
    assert "Enter the folder of your images." in html(checked(app.run()))
    for text in (str(tmp_path / "gone"), "a\0b", "~nobody-here/x", "x" * 999):
        app.text_input(key="training-own").set_value(text)
        assert "is not a folder on this machine" in html(checked(app.run()))
        assert app.button(key="training-go").disabled
    for text in (str(tmp_path), "hfds/someone/pets"):
        app.text_input(key="training-own").set_value(text)
        assert 'class="refusal"' not in html(checked(app.run()))
        assert not app.button(key="training-go").disabled


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("kind", "key", "value", "sentence"),
    [
        ("run", "epochs", 400, "Epochs is 400; use 1 to 300."),
        ("run", "epochs", 0, "Epochs is 0; use 1 to 300."),
        ("run", "seed", 10_000, "Seed is 10,000; use 0 to 9,999."),
        ("sweep", "seeds", 11, "Seeds is 11; use 1 to 10."),
    ],
)
def test_a_number_that_is_not_possible_is_said_and_starts_nothing(
    kind, key, value, sentence, monkeypatch
):
    started = []
    monkeypatch.setattr(background, "start", lambda _, task: started.append(task))
    app = opened(kind=kind)
    field = app.number_input(key=f"training-{key}")
    field.set_value(value)
    app.button(key="training-go").click()  # without leaving the field before
    assert f'class="refusal" role="alert">{sentence}</p>' in html(checked(app.run()))
    assert app.button(key="training-go").disabled
    assert not started
    app.number_input(key=f"training-{key}").set_value(2)
    app.run()
    app.button(key="training-go").click()
    assert "refusal" not in html(checked(app.run()))
    assert len(started) == 1


@pytest.mark.usefixtures("sleeper")
def test_a_download_says_its_size_before_and_how_far_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(downloads, "START", tmp_path)
    app = opened()
    assert "Downloads 169 MB first." in html(app)
    app.button(key="training-go").click()
    assert "Downloading CIFAR-100: 0 of 169 MB (0%)." in html(checked(app.run()))
    archive = tmp_path / "data" / "cifar-100-python.tar.gz.partial"
    archive.parent.mkdir()
    with archive.open("wb") as file:
        file.truncate(42_300_000)
    assert "Downloading CIFAR-100: 42 of 169 MB (25%)." in html(opened())
    (archive.parent / "cifar-100-python").mkdir()
    assert "Starting: loading the data" in html(opened())


@pytest.fixture
def sleeper(root, monkeypatch):
    """In place of training, a process that only waits; whatever is left is stopped."""
    code = "import time; print('here', flush=True); time.sleep(600)"
    command = property(lambda _: lambda _: [sys.executable, "-c", code])
    monkeypatch.setattr(background.Task, "command", command)
    yield root
    background.stop(root)


def until_ended(root):
    deadline = time.monotonic() + 120
    while background.is_running(root):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_start_and_stop_for_everyone(sleeper):
    app, other = opened(kind="run"), opened(kind="run")
    for each in (app, other):
        each.selectbox(key="training-data").set_value("digits")
        each.run()
    app.selectbox(key="training-step-resnet50").set_value("gelu")
    app.number_input(key="training-epochs").set_value(2)
    app.run()
    app.button(key="training-go").click()
    checked(app.run())
    assert "Starting: loading the data" in html(app)
    assert background.read_task(sleeper).runs == ("resnet50-gelu-seed0",)
    other.button(key="training-go").click()  # a page that does not know yet
    assert "Starting: loading the data" in html(checked(other.run()))
    assert "training-go" not in [button.key for button in opened().button]
    app.button(key="training-stop").click()
    checked(app.run())
    until_ended(sleeper)
    page = html(checked(app.run()))
    assert "ReLU to GELU, seed 0, Digits, 2 epochs</b>: 0 of 1 finished. Stopped." in page
    app.button(key="training-resume").click()
    assert "Starting: loading the data" in html(checked(app.run()))
    task = background.read_task(sleeper)
    assert (task.steps, task.epochs, task.source, task.stopped) == (("gelu",), 2, None, False)


def test_a_resumed_run_is_starting_until_it_trains_and_ending_once_it_is_finished(sleeper):
    task = background.Task(roadmap="resnet50", steps=("gelu",), seeds=(0,), epochs=9)
    folder = write_run(sleeper, "gelu", data=task.data, epochs=9, done=4)
    background.start(sleeper, task)
    page = html(opened())
    assert "Starting: loading the data" in page and "Ending" not in page
    shutil.rmtree(folder)
    write_run(sleeper, "gelu", data=task.data, epochs=9)
    time.sleep(all_runs.FRESH)
    assert "1 of 1 finished. Ending" in html(opened())


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
    write_run(sleeper, "gelu", 0, data=task.data, epochs=9, done=3)
    app = opened()
    assert "Its process was killed at ReLU to GELU, seed 0: epoch 3/9 81.11%." in html(app)
    assert app.button(key="training-resume").label == "Resume"


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
    app = opened(kind="run")
    app.selectbox(key="training-data").set_value("digits")
    assert "small networks at 32 pixels for 15 epochs." in html(checked(app.run()))
    assert app.number_input(key="training-seed").value == 2
    app.number_input(key="training-seed").set_value(1)
    page = html(checked(app.run()))
    assert "at 32 pixels for 15 epochs; already finished, so choose another seed." in page
    app.segmented_control(key="training-kind").set_value("sweep")
    assert "at 32 pixels for 15 epochs; 2 already finished." in html(checked(app.run()))


def test_a_folder_that_cannot_be_written_is_answered(root, monkeypatch):
    (root / "file").write_text("")
    monkeypatch.setenv(RUNS_VARIABLE, str(root / "file"))
    app = opened()
    app.button(key="training-go").click()
    assert "Training cannot be started" in html(checked(app.run()))


#: A task whose data cannot be the name of a file.
ODD_SOURCE = json.dumps(
    {"roadmap": "resnet50", "steps": [], "seeds": [0], "epochs": 1, "pid": 9, "source": "a\0b"}
)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"pid": 1}', '{"roadmap": "x", "steps": [1]}', ODD_SOURCE]
)
def test_a_damaged_task_file_breaks_nothing(root, content):
    (root / background.FOLDER).mkdir()
    (root / background.FOLDER / background.TASK).write_text(content)
    assert background.read_task(root) is None
    assert "training-go" in [button.key for button in opened().button]


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


def test_data_of_ones_own_has_its_own_folder_and_may_use_a_gpu(tmp_path):
    images = tmp_path / "flowers"
    task = background.Task(
        roadmap="resnet50", steps=("gelu",), seeds=(0,), epochs=3, source=str(images)
    )
    assert task.data == "flowers-pocket-3-epochs"
    words = task.command(tmp_path)
    assert words[-4:] == ["--data", str(images), "--output", str(tmp_path / task.data)]
    assert "--device" not in words


def test_the_studys_steps_are_the_short_runs_at_its_learning_rates(tmp_path, sleeper):
    task = background.study_task("torch/cifar100")
    assert task.data == "cifar100"
    background.start(sleeper, task)
    assert background.read_task(sleeper).design
    design = read_design(sleeper / background.FOLDER / background.DESIGN)
    whole = {point.key: point for point in read_design(background.STUDY).points}
    assert all(whole[point.key] == point for point in design.points)
    assert {design.space.training(point.levels).epochs for point in design.points} == {10}
    steps = {point.key.partition("-")[0] for point in design.points}
    assert len(design.points) == 2 * len(steps) == 28
    rates = {design.space.training(point.levels).lr for point in design.points}
    assert rates == {0.0007, 0.00078, 0.0011, 0.0014}
    runs = design_runs(design, tmp_path)
    assert task.runs == tuple(run.name for run in runs)


def test_the_command_of_the_studys_steps_is_accepted_for_a_folder_of_images(tmp_path):
    """By ``sweep`` itself, which counts the runs and trains none."""
    make_folder(tmp_path / "pets", train=3, val=2)
    task = background.study_task(str(tmp_path / "pets"))
    (tmp_path / "runs" / background.FOLDER).mkdir(parents=True)
    background.study_design().save(tmp_path / "runs" / background.FOLDER / background.DESIGN)
    command = [*task.command(tmp_path / "runs"), "--dry-run"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "Runs: 28, 0 already finished." in said


def test_a_named_set_is_downloaded_with_its_progress_stopped_continued_and_trained_on(
    root, monkeypatch, tmp_path
):
    """In real processes, from a local server."""
    work, site = tmp_path / "work", tmp_path / "site"
    work.mkdir()
    site.mkdir()
    with served_cifar(site) as server, ended_tasks(root):
        size = server.size
        path = os.pathsep.join(map(str, (site, ROOT)))
        monkeypatch.setenv("PYTHONPATH", path)
        for module in (background, downloads):
            monkeypatch.setattr(module, "START", work)
        known = dataclasses.replace(downloads.DOWNLOADS["torch/cifar100"], size=size)
        monkeypatch.setitem(downloads.DOWNLOADS, "torch/cifar100", known)
        app = opened(kind="run")
        app.number_input(key="training-epochs").set_value(1)
        app.run()
        app.button(key="training-go").click()
        checked(app.run())
        deadline = time.monotonic() + 120
        while not known.here:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        app.button(key="training-stop").click()
        app.run()
        until_ended(root)
        begun = known.here
        assert begun < size
        app = opened()
        app.button(key="training-resume").click()
        checked(app.run())
        shares = set()
        deadline = time.monotonic() + 120
        while background.is_running(root):
            assert time.monotonic() < deadline
            shares |= {known.here / size}
            time.sleep(0.02)
    assert server.asked == [0, begun]
    assert len(shares) > 4
    assert max(shares) == 1
    (run,) = reader.read_runs(root).runs
    assert (run.data, run.classes, run.train_images, run.finished) == (
        *("torch/cifar100", 4, 320, True),
    )
    page = html(opened())
    assert "ResNet-50 (baseline), seed 0, CIFAR-100, small networks, 1 epoch</b>" in page
    assert "1 of 1 finished." in page


def test_an_unreachable_set_is_answered_on_the_page(root, monkeypatch, tmp_path):
    work, site = tmp_path / "work", tmp_path / "site"
    work.mkdir()
    site.mkdir()
    with served_cifar(site):
        pass  # nobody listens there any longer
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (site, ROOT))))
    monkeypatch.setattr(background, "START", work)
    task = background.Task(
        roadmap="resnet50", steps=("gelu",), seeds=(0,), epochs=1, source="torch/cifar100"
    )
    with ended_tasks(root):
        background.start(root, task)
        until_ended(root)
    app = opened()
    assert "torch/cifar100 is not available" in html(app)
    assert "Traceback" not in html(app)
    assert app.button(key="training-resume").label == "Try again"  # it did not begin
