"""The builder's comparison of training times, run by Streamlit's own test harness."""

from __future__ import annotations

from functools import partial

import pages
import pytest
from pages import checked, html

from models import VARIANTS
from roadmap.background.queue import Job
from roadmap.views.builder import timing

opened = partial(pages.opened, "builder")


FOUND = {"ratio": 1.31, "low": 1.25, "high": 1.4, "seconds": [0.5, 0.655], "rounds": 10}
FOUND |= {"batch_size": 8, "busy": False, "device": "Some chip", "kind": "cuda"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "1.3 times the training time on this GPU"),
        (
            {"kind": "cpu", "ratio": 0.87, "low": 0.8, "high": 0.9},
            "0.87 times the training time on",
        ),
        ({"ratio": 1.02, "low": 0.99}, "about the same training time on this GPU"),
    ],
)
def test_the_measured_training_time_is_in_the_sentence(monkeypatch, changes, words):
    a, b = VARIANTS["convnext_tiny"], VARIANTS["convnext_tiny"].replace(kernel_size=9)
    monkeypatch.setattr(timing, "_kept", lambda: {(a, b, 224): FOUND | changes})
    app = opened(a="variant.convnext_tiny", b="variant.convnext_tiny~kernel_size.9")
    sentence = next(line for line in html(app).splitlines() if "B compared with A" in line)
    assert f"the same activation memory, {words}" in sentence
    assert "A 500 ms and B 655 ms per step of 8 random images" in html(app)
    assert "too long" not in html(app)
    assert app.button(key="measure-pair").label == "Measure again"
    app.number_input(key="image").set_value(192)  # another pair
    assert words not in html(checked(app.run()))
    assert app.button(key="measure-pair").label == "Measure training time of A and B"


def test_a_busy_or_slow_machine_is_said(monkeypatch):
    a, b = VARIANTS["convnext_tiny"], VARIANTS["resnet50"]
    found = FOUND | {"busy": True, "batch_size": 2}
    monkeypatch.setattr(timing, "_kept", lambda: {(a, b, 224): found})
    app = opened(a="variant.convnext_tiny", b="variant.resnet50")
    assert "probably because this machine was busy" in html(app)
    assert "per step of 2 random images" in html(app)
    assert "8 images would have taken too long here." in html(app)


def test_a_measurement_says_how_many_runs_are_done_and_about_how_long_it_takes():
    job = Job("compare")
    job.state = "running"
    app = opened(a="variant.convnext_tiny", b="variant.resnet50")
    app.session_state["timing"] = job
    for done, said in ((0, ""), (1, ", 1 of 34 runs"), (2, ", 2 of 34 runs, about 6 min left")):
        if done:
            job._stepped(done, 34)
            job._first_step = job._last_step - 10.5
        (progress,) = checked(app.run()).get("progress")
        assert progress.proto.text == f"Measuring A and B in turn{said}"
    job.state = "canceled"


def test_a_pair_that_cannot_be_timed_is_a_sentence():
    app = opened(a="variant.convnext_tiny", b="variant.convnext_tiny~in_channels.1")
    assert app.button(key="measure-pair").disabled
    assert "different input channels are not compared" in html(app)
    app = opened(a="variant.convnext_xlarge", b="variant.convnext_tiny")
    assert app.button(key="measure-pair").disabled
    assert "limit of 4 GB" in html(app)
    app = opened(a="variant.convnext_tiny", b="variant.convnext_tiny")
    assert not [each for each in app.button if each.key == "measure-pair"]
