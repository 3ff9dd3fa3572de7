"""What a program sends in place of a widget's value is held to the widget's bounds."""

from __future__ import annotations

import math

import pages
import pytest
import streamlit
from pages import html

from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.sweep import background
from roadmap.views.builder import downloads as builder_downloads
from roadmap.views.builder import fields as builder_fields
from roadmap.views.builder import head as builder_head
from roadmap.views.builder import measure as builder_measure
from roadmap.views.common import builder_address, step_control
from roadmap.views.common.bounds import within


@pytest.mark.parametrize(
    ("value", "low", "high", "held"),
    [
        (5, 1, 9, 5),
        (0, 1, 9, 1),
        (10**30, 1, 9, 9),
        (None, 1, 9, 1),
        (math.nan, 1, 9, 1),
        (math.inf, 1, 9, 9),
        (3.0, 1, 9, 3),
        (7.5, 0.0, 2.0, 2.0),
    ],
)
def test_within(value, low, high, held):
    found = within(value, low, high)
    assert (found, type(found)) == (held, type(held))


@pytest.fixture
def any_choice(monkeypatch):
    """As a program that speaks to the server: a select box has the text it was sent."""
    monkeypatch.setattr(streamlit, "selectbox", lambda *_, **__: "nonsense")


@pytest.mark.usefixtures("any_choice")
@pytest.mark.parametrize(
    ("page", "parameters"),
    [
        ("roadmap", {"metric": "images_per_s"}),
        ("inside", {"view": "cost"}),
        ("builder", {}),
        ("sizes", {}),
        ("finder", {}),
        ("recipes", {"part": "pictures", "method": "recipe"}),
        ("effects", {}),
        ("ablations", {}),
        ("training", {}),
    ],
)
def test_a_choice_that_is_none_is_the_first(page, parameters):
    pages.opened(page, **parameters)


def test_a_step_that_is_none_is_the_first(monkeypatch):
    gone = []
    monkeypatch.setattr(builder_head, "go", gone.append)
    monkeypatch.setattr(step_control, "store", lambda _, step: gone.append(step))
    chosen = {"step": "nonsense", "source": "nonsense", "start": "nonsense"}
    monkeypatch.setattr(streamlit, "session_state", chosen)
    builder = builder_address.parse({}, builder_address.StartingPoint("resnet50", "kernel_7"))
    step_control._step_chosen("resnet50")
    builder_head._source_chosen(builder)
    builder_head._start_chosen(builder)
    assert gone[0] == "baseline"
    assert {each.current.start.source for each in gone[1:]} == {"resnet50"}


@pytest.fixture
def any_number(monkeypatch):
    """As older Streamlit: number fields return whatever they were sent."""
    monkeypatch.setattr(streamlit, "number_input", lambda *_, **__: 10**12)


@pytest.mark.usefixtures("any_number")
@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_no_task_is_outside_the_forms_bounds(kind, monkeypatch, tmp_path):
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    tasks = []
    monkeypatch.setattr(background, "start", lambda _, task: tasks.append(task))
    app = pages.opened("training")
    app.segmented_control(key="training-kind").set_value(kind)
    app.run()
    app.button(key="training-go").proto.disabled = False  # for those who send more than a browser
    app.button(key="training-go").click().run()
    assert not tasks
    assert html(app).count("1,000,000,000,000; use ") == 2  # the seeds, the epochs


def test_a_text_of_megabytes_is_refused_at_its_first_characters():
    app = pages.opened("builder", a="resnet50.kernel_7")
    app.text_input(key="field-depths").set_value("1, " * 2_000_000)
    app.run()
    assert 'class="refusal"' in html(app)
    assert len(app.text_input(key="field-depths").value) == builder_fields.LONGEST


@pytest.mark.parametrize("module", [builder_downloads, builder_measure])
def test_a_forced_button_of_the_builder_is_refused_as_it_would_be(module, monkeypatch):
    """The button is enabled when it is drawn; by the click, the memory is gone."""
    app = pages.opened("builder", a="variant.convnext_tiny")
    monkeypatch.setattr("roadmap.measure.limits.free_memory", lambda: 10**8)
    started = []
    monkeypatch.setattr(module, "Job", lambda *words, **_: started.append(words))
    key = "measure" if module is builder_measure else "make-onnx"
    app.button(key=key).click().run()
    assert app.button(key=key).disabled
    assert "0.1 GB are free on this machine" in html(app)
    assert started == []
