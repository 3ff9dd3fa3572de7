"""The page about the inside of a step, run by Streamlit's own test harness."""

from __future__ import annotations

import json
from functools import partial

import pages
import pytest
from pages import address, checked
from streamlit.testing.v1 import AppTest

from models.source import network_source
from roadmap.background import worker
from roadmap.background.queue import Job
from roadmap.measure import effective_field
from roadmap.measure.complexity import count
from roadmap.steps import ROADMAPS
from roadmap.views.inside import field
from roadmap.views.inside.page import TABS

opened = partial(pages.opened, "inside")
RESNET50 = ROADMAPS["resnet50"]


def html(app: AppTest) -> str:
    return "\n".join([pages.html(app), *(element.value for element in app.markdown)])


def test_the_block_has_the_shapes_of_the_image_that_is_chosen():
    app = opened(step="kernel_7")
    assert "Before: Kernel size 5" in html(app)
    assert "After: Kernel size 7" in html(app)
    assert "56 × 56 × 96" in html(app)
    app.number_input(key="inside-image").set_value(64)
    assert "16 × 16 × 96" in html(checked(app.run()))
    assert address(app)["image"] == "64"


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("roadmap", ROADMAPS)
def test_every_tab_of_every_roadmap_opens_at_both_ends(roadmap, tab):
    keys = ROADMAPS[roadmap].keys
    for step in (keys[0], keys[-1]):
        app = opened(roadmap=roadmap, step=step, tab=tab)
        assert app.segmented_control(key="inside-tab").value == tab
        assert 'class="notice"' not in html(app)


@pytest.mark.parametrize("cost", ["gflops", "params", "activations"])
def test_the_areas_add_up_to_the_network(cost):
    app = opened(step="separate_downsampling", tab="cost", cost=cost)
    (chart,) = app.get("plotly_chart")
    (trace,) = json.loads(chart.proto.spec)["data"]
    config = RESNET50.config("separate_downsampling")
    counted = count(config)
    whole = {
        "gflops": counted.macs / 1e9,
        "params": counted.parameters / 1e6,
        "activations": counted.activations / 1e6,
    }[cost]
    values = dict(zip(trace["ids"], trace["values"], strict=True))
    tops = [key for key, parent in zip(trace["ids"], trace["parents"], strict=True) if not parent]
    assert sum(values[key] for key in tops) == pytest.approx(whole)
    for key in values:  # an area is its own or that of what is inside
        inside = [k for k, p in zip(trace["ids"], trace["parents"], strict=True) if p == key]
        assert not inside or sum(values[k] for k in inside) == pytest.approx(values[key])
    blocks = [key for key in trace["ids"] if ", block" in key]
    assert len(blocks) == sum(config.depths)


def test_the_table_of_layers_filters():
    app = opened(step="kernel_7", tab="cost")
    app.selectbox(key="inside-cost-part").set_value("Stage 2")
    app.selectbox(key="inside-cost-kind").set_value("depthwise")
    rows = checked(app.run()).dataframe[0].value
    assert len(rows) == RESNET50.config("kernel_7").depths[1]
    assert rows["path"].str.startswith("stages.1.blocks.").all()


def test_the_code_is_the_networks():
    app = opened(roadmap="resnet200", step="gelu", tab="code")
    source = network_source(ROADMAPS["resnet200"].config("gelu"))
    assert app.code[0].value == source.rstrip()


def test_the_config_marks_what_the_step_changes():
    said = html(opened(step="increase_width", tab="config"))
    config = RESNET50.config("increase_width")
    before = RESNET50.config(RESNET50.previous("increase_width").key)
    fields = [name for name in config.to_dict() if getattr(config, name) != getattr(before, name)]
    assert said.count('aria-label="changed"') == len(fields) > 0
    recipe = ROADMAPS["torchvision_recipe"]
    same = html(opened(roadmap=recipe.name, step=recipe.keys[-1], tab="config"))
    assert "No field differs" in same
    assert 'aria-label="changed"' not in same


@pytest.fixture
def in_this_process(monkeypatch):
    """A job's task runs as the job starts, with one image for each field.

    Its own process is for tests/background and test_inside_page_in_browser.py.
    """

    def start(job: Job, **request: object) -> Job:
        asked = {**job._request, **request}
        job.result = worker.TASKS[asked["task"]](asked, lambda _done, _total: None)
        job.state = "done"
        return job

    monkeypatch.setattr(Job, "start", start)
    monkeypatch.setattr(field, "prepare", lambda: None)
    monkeypatch.setattr(effective_field, "image_count", lambda _config: 1)


@pytest.mark.usefixtures("in_this_process")
def test_the_receptive_field_is_measured_kept_and_drawn(monkeypatch):
    field._kept.clear()
    app = opened(step="kernel_5", tab="field")
    titles = [RESNET50.previous("kernel_5").title, "Kernel size 5"]
    assert not app.get("plotly_chart")
    app.button(key="measure-field").click()
    charts = checked(app.run()).get("plotly_chart")
    assert [chart.proto.alt.split("field of ")[1].split(".")[0] for chart in charts] == titles
    measured = effective_field.effective_field(
        effective_field.untrained(RESNET50.config("kernel_5"))
    )
    assert f" 50% of it is within {measured.side(0.5)} by {measured.side(0.5)} " in (
        charts[1].proto.alt
    )
    monkeypatch.setattr(Job, "start", None)
    again = opened(step="kernel_5", tab="field")  # another session finds it
    assert len(again.get("plotly_chart")) == 2


@pytest.mark.parametrize(
    "parameters",
    [
        {"image": "99999999999999999999"},
        {"image": "-5"},
        {"image": "²"},
        {"tab": "<img src=x onerror=alert(1)>"},
        {"part": "stage99"},
        {"tab": "cost", "cost": "\x00"},
        {"step": "no" * 9_000},
        {"image": "32", "tab": "cost", "step": "separate_downsampling", "part": ""},
    ],
)
def test_whatever_the_url_says_there_is_a_page(parameters):
    app = opened(**parameters)
    assert html(app).count('class="notice"') == (parameters.get("image") != "32")
    assert "<img src" not in html(app)
    assert len(html(app)) < 60_000
