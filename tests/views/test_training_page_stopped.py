"""Runs that a command of this machine trained, after they have stopped or ended."""

from __future__ import annotations

import dataclasses
import os
from functools import partial

import pages
import pytest
from fake_runs import write_run
from pages import checked, html

from roadmap import visitors
from roadmap.runs.lock import LOCK
from roadmap.sweep import background
from roadmap.train.settings import choose_recipe

opened = partial(pages.opened, "training")


def trained_here(folder, age: float = 0.0):
    """What a process leaves that trained in ``folder``, ``age`` seconds ago."""
    (folder / LOCK).touch()
    for name in ("run.json", "metrics.csv"):
        before = (folder / name).stat().st_mtime - age
        os.utime(folder / name, (before, before))
    return folder


def pocket_run(root, data="digits", epochs=15, **more):
    """A stopped run as ``train --scale pocket --device cpu`` leaves it, and the page's tasks."""
    recipe, _ = choose_recipe("resnet50", "gelu", changes={"epochs": epochs}, scale="pocket")
    facts = {"scale": "pocket", "device_type": "cpu", "precision": "float32"} | more
    facts = {"status": "interrupted", "recipe": dataclasses.asdict(recipe)} | facts
    return trained_here(write_run(root, "gelu", data=data, epochs=epochs, done=1, **facts))


def test_runs_that_stopped_or_ended_here_keep_their_cards_and_others_have_none(root):
    for seed, status in enumerate(("interrupted", "failed", "running")):
        trained_here(write_run(root, "kernel_7", seed, done=1, status=status), age=seed)
    for seed in range(2):  # committed ones
        write_run(root, "training", seed, done=1, status="interrupted")
        write_run(root, "baseline", seed)
    trained_here(write_run(root, "gelu", 0), age=60)
    trained_here(write_run(root, "gelu", 1), age=30)
    page = html(opened())
    shown = [part.partition("</h3>")[0] for part in page.split('class="subsection">')[1:]]
    assert shown == [*(f"Kernel size 7, seed {seed}" for seed in range(3)), "ReLU to GELU, seed 1"]
    for state in ("Stopped and saved", "Failed", "Process ended", "Finished"):
        assert f"</i>{state}</span>" in page


def test_a_long_list_of_stopped_runs_leaves_room_for_the_newest_ones(root):
    for seed in range(9):
        trained_here(write_run(root, "kernel_7", seed, done=1, status="failed"), age=100 - seed)
    trained_here(write_run(root, "gelu", 1), age=300)
    page = html(opened())
    assert page.count("</i>Failed</span>") == 3
    assert "Kernel size 7, seed 8" in page and "ReLU to GELU, seed 1" in page


def test_a_stopped_run_that_the_page_could_have_started_is_resumed_by_it(root, monkeypatch):
    started = []
    monkeypatch.setattr(background, "start", lambda folder, task: started.append((folder, task)))
    folder = pocket_run(root)
    app = opened()
    assert "Resume it on the command line" not in html(app)
    app.button(key="training-resume-digits-resnet50-gelu-seed0").click()
    checked(app.run())
    [(where, task)] = started
    assert (task.steps, task.seeds, task.epochs, task.source) == (("gelu",), (0,), 15, None)
    assert where / task.data / task.runs[0] == folder


@pytest.mark.parametrize(
    "more",
    [
        {"data": "pics"},
        {"device_type": "cuda", "precision": "bf16"},
        {"epochs": 400},  # the page's runs of this length have a folder of their own
        {"scale": "full"},
    ],
)
def test_another_stopped_run_says_the_command_that_resumes_it(more, root):
    folder = pocket_run(root, **more)
    app = opened()
    page = html(app)
    assert not [button for button in app.button if str(button.key).startswith("training-resume")]
    assert "Resume it on the command line." in page
    assert "python -m roadmap train --roadmap resnet50 --step gelu" in page
    assert f"--output {folder}</pre>" in page
    assert ("PATH is the folder of the data set pics" in page) == (more.get("data") == "pics")


def test_visitors_are_not_told_where_runs_are(root, monkeypatch):
    pocket_run(root, data="pics")
    monkeypatch.setenv(visitors.VARIABLE, "1")
    assert str(root) not in html(opened())
