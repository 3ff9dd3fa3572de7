"""The page of training, run by Streamlit's own test harness on runs that nobody trained."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
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

from roadmap.analysis.ablation import analyse
from roadmap.analysis.narrowing import narrowing_of_runs
from roadmap.runs import reader
from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.runs.live import LIVE as LIVE_FILE
from roadmap.runs.live import Live, write_live
from roadmap.steps import ROADMAPS
from roadmap.study.design import read_design
from roadmap.sweep import background
from roadmap.sweep.plan import design_runs
from roadmap.tables.results import RESULTS
from roadmap.train.data import downloads
from roadmap.views.ablations import data as ablations_data
from roadmap.views.training import shown

opened = partial(pages.opened, "training")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("root")
def test_it_opens_with_a_form_for_data_that_can_tell_the_steps_apart():
    app = opened()
    assert app.selectbox(key="ablations-data").value == "torch/cifar100"
    assert "1 run of ResNet-50 to ConvNeXt-T, small networks at 32 pixels." in html(app)
    assert "Digits cannot rank the steps" not in html(app)
    assert app.button(key="ablations-go").label == "Start"
    assert "python -m roadmap sweep --roadmap resnet50 --data PATH" in html(app)


def test_the_roadmap_is_chosen_and_in_the_url(root):
    write_run(root, "baseline", 0, 50.0)
    app = opened(roadmap="resnet200")
    assert app.selectbox(key="training-roadmap").value == "resnet200"
    app.selectbox(key="training-roadmap").set_value("torchvision_recipe")
    checked(app.run())
    assert pages.address(app)["roadmap"] == "torchvision_recipe"
    assert html(opened(roadmap="resnet51")).count('class="notice"') == 1


def test_a_run_that_fine_tunes_or_is_of_a_design_has_a_card_while_it_runs(root, monkeypatch):
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    assert "run-head" not in html(opened())
    start = {"weights": "mine.safetensors", "sha256": "0" * 64, "head": "new"}
    start |= {"network": "resnet50:gelu of width 16", "layer_decay": 0.75, "frozen_stages": 0}
    point = {"design": "small", "key": "007", "role": "fit", "levels": {}}
    for seed, more in enumerate(({"start": start}, {"point": point}, {})):
        write_run(root, "gelu", seed, data="digits-30-epochs", done=1, **more)
    time.sleep(ablations_data.FRESH)
    page = html(opened())
    for title in ("ReLU to GELU, fine-tuned", "Run 007 of design small", "ReLU to GELU"):
        assert f'<h3 class="subsection">{title}, seed' in page
    assert page.count("Digits, 30 epochs</p>") == 3
    assert page.count("</i>Training</span>") == 3


LIVE = Live(
    step=147,
    steps=294,
    steps_per_epoch=98,
    loss=2.5,
    train_top1=31.0,
    images_per_s=1234.0,
    seconds_left=125.0,
    points=((54, 3.5), (85, 3.0), (116, 2.75), (147, 2.5)),
)


@pytest.fixture
def training(root, monkeypatch):
    """A run in progress, after its first epoch of three; its step has two earlier seeds, the step
    before has three."""
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    for seed, top1 in enumerate((60.0, 61.0, 62.0)):
        write_run(root, "training", seed, top1)
    for seed, top1 in enumerate((64.0, 65.0)):
        write_run(root, "stage_ratio", seed, top1)
    folder = write_run(root, "stage_ratio", 2, 66.0, done=1)
    write_live(folder, LIVE)
    return folder


def charts(app) -> list[str]:
    """The HTML of each chart: loss and top-1 of each card."""
    drawn = "".join(each.value for each in app.markdown)
    return drawn.split("<figure")[1:]


def lines(chart: str) -> list[tuple[str, int]]:
    """The role of each line, and its number of points, from back to front."""
    found = re.findall(r'<polyline class="(\w+)" points="([^"]*)"', chart)
    return [(role, len(points.split())) for role, points in found]


@pytest.mark.usefixtures("training")
def test_a_card_has_the_figures_of_now_over_earlier_seeds_and_the_step_before():
    app = opened()
    page = html(app)
    for name, value in {
        "Epoch": "2 of 3",
        "Training loss": "2.500",
        "Images/s": "1,234",
        "Time left": "2 min",
    }.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert 'aria-valuenow="50"' in page
    loss, top1 = charts(app)
    assert lines(loss) == [("now", 4)]
    assert "Epoch 1.5<br>Seed 2: 2.500</span>" in loss
    assert lines(top1) == [*[("before", 3)] * 3, *[("earlier", 3)] * 2, ("now", 2)]
    for text in ("2 other seeds: mean ", "Modern training recipe, 3 seeds: mean "):
        assert text in top1
    assert "At the last epoch: Stage ratio, seed 0 64.00; Stage ratio, seed 1 65.00; " in top1


def test_runs_with_other_settings_are_not_compared(training):
    content = json.loads((training / "run.json").read_text())
    content["data"]["sha256"] = "1" * 64
    (training / "run.json").write_text(json.dumps(content))
    assert lines(charts(opened())[1]) == [("now", 2)]


def test_the_interval_narrows_as_seeds_finish_and_ends_as_on_the_page_ablations(training):
    assert html(opened()).count('class="strip ') == 2  # two seeds of both; two and three
    shutil.rmtree(training)
    write_run(training.parents[1], "stage_ratio", 2, 66.0)
    runs = reader.read_runs(training.parents[1]).runs
    found = narrowing_of_runs(runs, "tiny", "resnet50", "stage_ratio")
    widths = [one.change.interval.high - one.change.interval.low for one in found]
    assert [one.seeds for one in found] == [2, 3]
    assert widths[1] < widths[0]
    results = {one.step.key: one for one in analyse(runs, "tiny", "resnet50").steps}
    assert found[-1].change == results["stage_ratio"].change


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"points": [[1, "x"]]}', "9" * 5000])
def test_damaged_live_figures_are_left_out(training, content):
    (training / LIVE_FILE).write_text(content)
    page = html(opened())
    assert "<dt>Epoch</dt><dd>1 of 3</dd>" in page
    assert "<dt>Time left</dt><dd>–</dd>" in page


def test_a_log_shows_its_last_lines_as_text(training):
    lines = [f"epoch {number}: <b>loss</b>" for number in range(40)]
    (training / "train.log").write_text("\n".join(lines) + "\n")
    page = html(opened())
    assert "epoch 30: &lt;b&gt;loss&lt;/b&gt;\n" in page
    assert "epoch 29" not in page


def test_digits_come_with_a_caution_in_figures_of_the_committed_runs():
    app = opened()
    app.selectbox(key="ablations-data").set_value("digits")
    page = html(checked(app.run()))
    runs = reader.read_runs(RESULTS / "runs").runs
    for step, published in (("baseline", "76.1%"), ("separate_downsampling", "82.0%")):
        scores = [
            r.top1 for r in runs if (r.data, r.roadmap, r.step) == ("digits", "resnet50", step)
        ]
        assert f"{fmean(scores):.1f}%" in page
        assert published in page
    assert page.count("Digits cannot rank the steps") == 1


def test_a_card_of_the_digits_has_the_caution_above_its_charts(root, monkeypatch):
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    write_run(root, "gelu", 0, data="digits", done=1)
    page = html(opened())
    assert page.index("Digits cannot rank the steps") < page.index("run-head")


def test_own_images_need_a_folder_that_exists(tmp_path):
    app = opened()
    app.selectbox(key="ablations-data").set_value("own")
    assert "Enter the folder of your images." in html(checked(app.run()))
    for text in (str(tmp_path / "gone"), "a\0b", "~nobody-here/x", "x" * 999):
        app.text_input(key="ablations-own").set_value(text)
        assert "is not a folder on this machine" in html(checked(app.run()))
        assert app.button(key="ablations-go").disabled
    for text in (str(tmp_path), "hfds/someone/pets"):
        app.text_input(key="ablations-own").set_value(text)
        assert 'class="refusal"' not in html(checked(app.run()))
        assert not app.button(key="ablations-go").disabled


@pytest.mark.usefixtures("sleeper")
def test_a_download_says_its_size_before_and_how_far_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(downloads, "START", tmp_path)
    app = opened()
    assert "Downloads 169 MB first." in html(app)
    app.button(key="ablations-go").click()
    assert "Downloading CIFAR-100: 0 of 169 MB (0%)." in html(checked(app.run()))
    archive = tmp_path / "data" / "cifar-100-python.tar.gz"
    archive.parent.mkdir()
    with archive.open("wb") as file:
        file.truncate(42_300_000)
    assert "Downloading CIFAR-100: 42 of 169 MB (25%)." in html(opened())
    (archive.parent / "cifar-100-python").mkdir()
    assert "Starting: loading the data" in html(opened())


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
    for each in (app, other):
        each.selectbox(key="ablations-data").set_value("digits")
        each.run()
    app.selectbox(key="ablations-step-resnet50").set_value("gelu")
    app.number_input(key="ablations-epochs").set_value(2)
    app.run()
    app.button(key="ablations-go").click()
    checked(app.run())
    assert "Starting: loading the data" in html(app)
    assert background.read_task(sleeper).runs == ("resnet50-gelu-seed0",)
    other.button(key="ablations-go").click()  # a page that does not know yet
    assert "Starting: loading the data" in html(checked(other.run()))
    assert "ablations-go" not in [button.key for button in opened().button]
    app.button(key="ablations-stop").click()
    checked(app.run())
    until_ended(sleeper)
    page = html(checked(app.run()))
    assert "ReLU to GELU, seed 0, Digits, 2 epochs</b>: 0 of 1 finished. Stopped and saved." in page
    app.button(key="training-resume").click()
    assert "Starting: loading the data" in html(checked(app.run()))
    task = background.read_task(sleeper)
    assert (task.steps, task.epochs, task.source, task.stopped) == (("gelu",), 2, None, False)


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
    app = opened()
    app.selectbox(key="ablations-data").set_value("digits")
    assert "small networks at 32 pixels." in html(checked(app.run()))
    assert app.number_input(key="ablations-seed").value == 2
    app.number_input(key="ablations-seed").set_value(1)
    page = html(checked(app.run()))
    assert "at 32 pixels; already finished, so choose another seed." in page
    app.segmented_control(key="ablations-kind").set_value("sweep")
    assert "at 32 pixels; 2 already finished." in html(checked(app.run()))


def test_a_folder_that_cannot_be_written_is_answered(root, monkeypatch):
    (root / "file").write_text("")
    monkeypatch.setenv(RUNS_VARIABLE, str(root / "file"))
    app = opened()
    app.button(key="ablations-go").click()
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
    assert "ablations-go" in [button.key for button in opened().button]


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


def test_runs_of_the_studys_steps_are_compared_with_the_step_before(root, monkeypatch):
    """As the committed ones were, while they ran."""
    monkeypatch.setattr(reader, "is_locked", lambda _: True)
    committed = RESULTS / "runs" / "tiny-imagenet-100"
    for folder in committed.glob("confirmation-*-10-?-seed?"):
        shutil.copytree(folder, root / "tiny-imagenet-100" / folder.name)
    now = root / "tiny-imagenet-100" / "confirmation-layer_norm-10-b-seed1"
    content = json.loads((now / "run.json").read_text())
    (now / "run.json").write_text(json.dumps(content | {"status": "running"}))
    app = opened()
    assert lines(charts(app)[1]) == [*[("before", 10)] * 2, ("earlier", 10), ("now", 10)]
    assert "Change from Fewer norms: −" in html(app)
    assert "An interval needs two finished seeds of both steps." in html(app)
    (now / "run.json").write_text(json.dumps(content))
    found = reader.read_runs(root)
    run = next(run for run in found.points if run.path == now)
    scores = shown.study_scores(found, run)
    (last,) = shown.study_narrowing(scores, run.val_images, "resnet50", "layer_norm")
    values = [[s for key, _, s in scores if key == step] for step in ("fewer_norms", "layer_norm")]
    assert last.change.points == pytest.approx(fmean(values[1]) - fmean(values[0]))
    assert last.change.verdict == "loss"


def test_a_named_set_is_downloaded_with_its_progress_and_trained_on(root, monkeypatch, tmp_path):
    """By torchvision's own code, in a real process, from a local server."""
    work, site = tmp_path / "work", tmp_path / "site"
    work.mkdir()
    site.mkdir()
    with served_cifar(site) as size, ended_tasks(root):
        path = os.pathsep.join(map(str, (site, ROOT)))
        monkeypatch.setenv("PYTHONPATH", path)
        for module in (background, downloads):
            monkeypatch.setattr(module, "START", work)
        known = dataclasses.replace(downloads.DOWNLOADS["torch/cifar100"], size=size)
        monkeypatch.setitem(downloads.DOWNLOADS, "torch/cifar100", known)
        app = opened()
        app.number_input(key="ablations-epochs").set_value(1)
        app.run()
        app.button(key="ablations-go").click()
        checked(app.run())
        shares = set()
        deadline = time.monotonic() + 120
        while background.is_running(root):
            assert time.monotonic() < deadline
            shares |= {known.here / size}
            time.sleep(0.1)
    assert len(shares) > 4
    assert max(shares) == 1
    (run,) = reader.read_runs(root).runs
    assert (run.data, run.classes, run.train_images, run.finished) == (
        *("torch/cifar100", 4, 320, True),
    )
    page = html(opened())
    assert "ResNet, seed 0, CIFAR-100, small networks, 1 epoch</b>" in page
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
    page = html(opened())
    assert "torch/cifar100 is not available" in page
    assert "Traceback" not in page
