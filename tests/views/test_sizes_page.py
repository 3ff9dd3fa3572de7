"""The page of sizes, run by Streamlit's own test harness."""

from __future__ import annotations

import json
from functools import partial
from math import log10

import pages
import pytest
from finder_rows import row
from pages import address, checked, html, title
from streamlit.testing.v1 import AppTest

from roadmap.charts.sizes import COSTS
from roadmap.find import store
from roadmap.tables.sizes import TEST_SETS

opened = partial(pages.opened, "sizes")


def marks(app: AppTest) -> set[str]:
    (chart,) = app.get("plotly_chart")
    data = json.loads(chart.proto.spec)["data"]
    return {key for trace in data for key in trace.get("customdata", ())}


def test_the_page_opens_on_accuracy_against_gflops():
    app = opened()
    assert title(app) == "ConvNeXt-T"
    assert "vs. Swin-T" in html(app)
    assert ">+0.8<" in html(app)  # 82.1 and 81.3
    (chart,) = app.get("plotly_chart")
    assert chart.proto.alt.startswith("Scatter chart of ImageNet-1K top-1 accuracy")
    assert "ConvNeXt-XL, 384, 22K 87.8% at 179.0" in chart.proto.alt
    assert 'class="notice"' not in html(app)


@pytest.mark.parametrize(("x", "y"), list(zip(COSTS, TEST_SETS, strict=False)))
def test_axes_are_what_the_url_says(x, y):
    app = opened(x=x, y=y)
    (chart,) = app.get("plotly_chart")
    layout = json.loads(chart.proto.spec)["layout"]
    assert layout["xaxis"]["title"]["text"] == COSTS[x].axis
    assert layout["yaxis"]["title"]["text"].startswith(TEST_SETS[y])


def test_filters_leave_what_they_say_in_chart_and_table():
    app = opened()
    app.segmented_control(key="sizes-image").set_value("384")
    app.segmented_control(key="sizes-pretraining").set_value("in1k")
    checked(app.run())
    assert marks(app) == {"convnext-b-384", "convnext-l-384", "swin-b-384"}
    assert set(app.dataframe[0].value["label"]) == {
        "ConvNeXt-B, 384",
        "ConvNeXt-L, 384",
        "Swin-B, 384",
    }
    assert title(app) == "ConvNeXt-B"  # the first in the chart
    parameters = address(app)
    assert parameters == {"image": "384", "pretraining": "in1k"}
    again = opened(**parameters)  # the address shows the same to someone else
    assert marks(again) == marks(app)


@pytest.mark.parametrize("image", ["all", "224", "384"])
@pytest.mark.parametrize("x", COSTS)
def test_the_axis_of_cost_has_at_least_three_ticks_in_sight(x, image):
    (chart,) = opened(x=x, image=image).get("plotly_chart")
    axis = json.loads(chart.proto.spec)["layout"]["xaxis"]
    low, high = axis["range"]
    assert sum(low <= log10(tick) <= high for tick in axis["tickvals"]) >= 3


def test_choosing_a_network_shows_it_and_its_rival():
    app = opened(model="swin-l-384-22k")
    assert title(app) == "Swin-L"
    assert "vs. ConvNeXt-L" in html(app)
    app.selectbox(key="sizes-model").set_value("resnet-50-timm-a1")
    checked(app.run())
    assert title(app) == "ResNet-50"
    assert "recipe: timm A1" in html(app)
    assert address(app)["model"] == "resnet-50-timm-a1"


def test_axes_that_no_network_has_both_of_are_a_sentence():
    app = opened(x="a100", y="imagenet_v2", image="384", pretraining="in1k")
    assert not app.get("plotly_chart")
    assert "No network that matches these filters" in html(app)
    assert title(app) == "ConvNeXt-B"


def test_speeds_of_the_finder_are_further_axes(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    monkeypatch.setattr(store, "RESULTS", tmp_path)  # without the committed rows
    monkeypatch.setattr(store, "read_rows", lambda _table: [])
    assert len(opened().selectbox(key="sizes-x").options) == len(COSTS)
    gpu = {"device": "cuda", "device_name": "Test GPU", "dtype": "bf16"}
    store.add(row("convnext_tiny", 900, source="variant", **gpu))
    store.add(row("convnext_tiny", 700, **gpu))  # timm's, slower
    assert len(opened().selectbox(key="sizes-x").options) == len(COSTS)  # one network is no chart
    store.add(row("swin_tiny_patch4_window7_224", 500, **gpu))
    app = opened(x="test-gpu-bf16-batch-2", model="convnext-t")
    assert {"convnext-t", "swin-t"} <= marks(app)
    assert not marks(app) & {"convnext-b", "convnext-t-384-22k"}
    (chart,) = app.get("plotly_chart")
    assert "ConvNeXt-T, 22K 82.9% at 900" in chart.proto.alt
    axis = json.loads(chart.proto.spec)["layout"]["xaxis"]
    assert axis["title"]["text"] == "Images/s, Test GPU, bf16, batch 2 (log scale)"
    assert "Speed, Test GPU, bf16, batch 2" in html(app)
    assert ">+400<" in html(app)  # 900 and Swin-T's 500
    speeds = app.dataframe[0].value["test-gpu-bf16-batch-2"].dropna()
    assert set(speeds) == {900, 500}


@pytest.mark.parametrize(
    "parameters",
    [
        {"x": "<script>alert(1)</script>"},
        {"y": "accuracy", "image": "9" * 50_000},
        {"pretraining": "\x00", "model": "../../etc/passwd"},
    ],
)
def test_whatever_the_url_says_there_is_one_message_and_a_page(parameters):
    app = opened(**parameters)
    assert html(app).count('class="notice"') == 1
    assert "<script>alert" not in html(app)
    assert len(html(app)) < 20_000
    assert len(marks(app)) > 30
