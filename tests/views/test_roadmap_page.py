"""The first page, run by Streamlit's own test harness."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
import streamlit as st
from pages import TIMEOUT, address, checked, html, run, title
from streamlit.testing.v1 import AppTest

from roadmap.files import write_csv
from roadmap.measure.complexity import count
from roadmap.steps import BEYOND, ROADMAPS, source
from roadmap.tables import results
from roadmap.views.roadmap import panel

ROOT = Path(__file__).parents[2]
#: How the speeds that are made up were measured.
SETTING = {
    "device": "cuda",
    "device_name": "Some GPU",
    "dtype": "bf16",
    "channels_last": True,
    "batch_size": 256,
    "image_size": 224,
    "repetitions": 20,
}


def speeds(median: float, low: float, high: float, memory: float, depthwise: str) -> dict:
    names = ("images_per_s", "images_per_s_p10", "images_per_s_p90", "peak_memory_gb", "depthwise")
    return dict(zip(names, (median, low, high, memory, depthwise), strict=True))


@pytest.fixture(autouse=True)
def tables(tmp_path, monkeypatch):
    """The published tables, and speeds of the ResNet-50 roadmap that are made up."""
    for folder in ("paper", "measured"):
        shutil.copytree(results.RESULTS / folder, tmp_path / folder)
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    keys = ROADMAPS["resnet50"].keys
    rows = [
        {"source": source, "name": name, "mode": mode, "compiled": compiled}
        | SETTING
        | speeds(1000 + place + 500 * compiled, 990 + place, 1510 + place, 1.5, "torch")
        for mode in ("inference", "training")
        for compiled in (True, False)
        for place, (source, name) in enumerate(
            [("resnet50", key) for key in keys] + [("timm", "swin_tiny_patch4_window7_224")]
        )
    ]
    ours = rows[keys.index("kernel_7")] | speeds(4000, 3990, 4010, 1.4, "own")
    write_csv(tmp_path / "measured" / "throughput.csv", list(ours), [ours, *rows])
    st.cache_data.clear()
    yield
    st.cache_data.clear()


def opened(**parameters: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
    app.session_state["opened"] = True  # no browser to wait for
    return run(app, **parameters)


def figure(app: AppTest) -> dict:
    (chart,) = app.get("plotly_chart")
    return json.loads(chart.proto.spec)


def selected(app: AppTest) -> str:
    rows = figure(app)["data"][0]
    return rows["customdata"][rows["selectedpoints"][0]]


def button(app: AppTest, label: str):
    return next(button for button in app.button if button.label == label)


@pytest.mark.parametrize("roadmap", ROADMAPS)
def test_every_step_of_every_roadmap_has_a_page(roadmap):
    app = opened(roadmap=roadmap)
    for step in ROADMAPS[roadmap].steps:
        app.query_params["step"] = step.key
        checked(app.run())
        assert title(app) == step.title
        assert selected(app) == step.key
        assert 'class="notice"' not in html(app)


def test_the_page_opens_at_the_start_with_the_papers_figures():
    app = opened()
    assert title(app) == "ResNet"
    assert "<b>76.13%</b> to <b>81.97%</b>" in html(app)
    assert "81.30% of Swin-T" in html(app)
    assert button(app, "Previous").disabled
    assert figure(app)["layout"]["shapes"][0]["x0"] == 81.3


def test_the_tour_goes_through_every_step_and_back():
    app = opened()
    for step in ROADMAPS["resnet50"].steps[1:]:
        button(app, "Next").click()
        checked(app.run())
        assert title(app) == step.title
        assert address(app) == {"roadmap": "resnet50", "step": step.key}
    assert button(app, "Next").disabled
    button(app, "Previous").click()
    assert title(checked(app.run())) == ROADMAPS["resnet50"].steps[-2].title


def test_the_step_box_selects():
    app = opened(step="gelu")
    assert app.selectbox(key="step").value == "gelu"
    app.selectbox(key="step").set_value("kernel_9")
    checked(app.run())
    assert title(app) == "Kernel size 9"
    assert "tried, not adopted" in html(app)
    assert address(app)["step"] == "kernel_9"


def test_another_roadmap_keeps_the_step_where_it_has_it():
    app = opened(step="kernel_7")
    app.segmented_control(key="roadmap").set_value("resnet200")
    checked(app.run())
    assert address(app) == {"roadmap": "resnet200", "step": "kernel_7"}
    assert "<b>78.20%</b> to <b>83.60%</b>" in html(app)
    app.segmented_control(key="roadmap").set_value("torchvision_recipe")
    checked(app.run())
    assert address(app) == {"roadmap": "torchvision_recipe", "step": "baseline"}


def test_numbers_and_their_change_from_the_step_compared_with():
    page = html(opened(step="gelu"))  # after 7, not after 11, which was not adopted
    assert "vs. Kernel size 7" in page
    assert "80.62 ± 0.14" in page
    assert ">+0.05<" in page


def test_the_papers_gflops_are_shown_where_they_differ_from_the_count():
    assert "The paper prints 4.49 GFLOPs" in html(opened(step="separate_downsampling"))
    assert "The paper prints 4.46 GFLOPs" in html(opened(step="layer_norm"))
    assert "The paper prints" not in html(opened(step="kernel_7"))


@pytest.mark.parametrize("metric", ["top1", "gflops", "params", "images_per_s", "memory"])
def test_bars_show_what_is_asked(metric):
    app = opened(step="kernel_7")
    app.segmented_control(key="roadmap-metric").set_value(metric)
    checked(app.run())
    assert selected(app) == "kernel_7"
    assert (figure(app)["data"][1]["base"] == 0) == (metric != "top1")


def test_speeds_on_a_chosen_device():
    app = opened()
    app.segmented_control(key="roadmap-metric").set_value("images_per_s")
    checked(app.run())
    assert figure(app)["data"][1]["x"][0] == 1500
    box = app.selectbox(key="setting")
    assert box.options[0] == "Some GPU, inference, bf16, batch 256, compiled"
    box.select_index(1)
    checked(app.run())
    assert figure(app)["data"][1]["x"][0] == 1000
    assert "Some GPU, inference, bf16, batch 256, eager" in html(app)


def test_speeds_with_our_kernels_stand_beside_pytorchs():
    app = opened(step="kernel_7", metric="images_per_s")
    row = list(ROADMAPS["resnet50"].keys).index("kernel_7")
    bars, ticks = (figure(app)["data"][place] for place in (1, 3))
    assert bars["x"][row] == 4000
    assert ticks["x"] == [1500 + row]
    assert "with PyTorch's depthwise convolution" in html(app)
    assert f"with PyTorch's kernels, the speed is {1500 + row:,} images/s" in unescape(html(app))
    app.selectbox(key="setting").select_index(1)  # where only PyTorch's were timed
    assert "PyTorch's" not in unescape(html(checked(app.run())))


def test_a_metric_without_figures_is_a_sentence():
    app = opened(roadmap="resnet200", step="kernel_7")
    app.segmented_control(key="roadmap-metric").set_value("images_per_s")
    checked(app.run())
    assert not app.get("plotly_chart")
    assert "No speed has been measured for ResNet-200 to ConvNeXt-B" in html(app)
    assert title(app) == "Kernel size 7"
    app.segmented_control(key="roadmap-metric").set_value("top1")
    assert app.run().get("plotly_chart")


def test_without_a_table_of_speeds_the_rest_stands(tmp_path):
    (tmp_path / "measured" / "throughput.csv").unlink()
    st.cache_data.clear()
    app = opened()
    assert "Speed" not in html(app)
    app.segmented_control(key="roadmap-metric").set_value("memory")
    assert "No memory has been measured" in html(checked(app.run()))


@pytest.mark.parametrize(
    "parameters",
    [
        {"roadmap": "<script>alert(1)</script>", "step": "![x](http://example.com/x.png)"},
        {"step": "kernel_77"},
        {"roadmap": "resnet50", "step": "x" * 100_000},
        {"roadmap": "torchvision_recipe", "step": "kernel_7"},
        {"roadmap": "../../etc/passwd", "step": "\x00\u202e"},
    ],
)
def test_whatever_the_url_says_there_is_one_message_and_a_page(parameters):
    app = opened(**parameters)
    page = html(app)
    assert page.count('class="notice"') == 1
    assert "<script>alert" not in page
    assert len(page) < 40_000
    assert app.get("plotly_chart")
    button(app, "Next").click()
    assert 'class="notice"' not in html(checked(app.run()))


def test_a_step_that_changes_no_layer_shows_the_recipe():
    app = opened(step="training")
    page = html(app)
    assert "No layer changes, only the training: 4.09 GFLOPs, as before." in page
    assert "<td>optimizer</td><td>SGD</td><td>AdamW</td>" in page
    assert "<td>as for weights</td><td>0</td>" in page
    (block,) = [text.value for text in app.markdown if "<svg" in text.value]
    assert block.count("<svg") == 1
    assert "added" not in block


def test_diagrams_stand_as_pictures_with_a_text():
    (block,) = opened(step="inverted_bottleneck").markdown
    assert block.value.count('role="img" aria-label="Input 56 by 56') == 2
    assert "Before: Increase width" in block.value


def test_the_chart_has_a_text_alternative():
    (chart,) = opened(step="kernel_7").get("plotly_chart")
    assert chart.proto.alt.startswith("Dot chart of ImageNet-1K top-1 accuracy, %")
    assert "Kernel size 7 80.57" in chart.proto.alt


def test_a_roadmap_of_training_has_the_speed_of_its_one_network():
    page = html(opened(roadmap="torchvision_recipe", step="ema"))
    assert "Speed and memory: Some GPU, inference" in page


@pytest.mark.parametrize("cost", ["gflops", "params", "images_per_s", "memory"])
def test_the_path_has_a_point_a_step(cost):
    app = opened(step="kernel_7", view="path")
    app.segmented_control(key="roadmap-metric").set_value(cost)
    checked(app.run())
    app = opened(step="kernel_7", view="path", metric=cost)  # a shared address
    points = figure(app)["data"][2]
    scored = [step.key for step in ROADMAPS["resnet50"].steps if step.group != BEYOND]
    assert points["customdata"] == scored
    assert '<li class="now">Kernel size 7</li>' in html(app)


def test_the_path_says_which_step_it_lacks():
    app = opened(step="no_layer_scale", view="path")
    assert "No layer scale is not shown, because no accuracy was published." in html(app)
    assert "is not shown, because" not in html(opened(step="gelu", view="path"))


def test_speeds_of_both_sizes_are_those_measured_whichever_is_selected():
    pages = [
        html(opened(roadmap=name, view="both", metric="images_per_s"))
        for name in ("resnet50", "resnet200")
    ]
    assert [page.count("No speed has been measured for ResNet-50 ") for page in pages] == [0, 0]


def test_both_sizes_are_compared_in_what_was_measured_of_both(tmp_path):
    path = tmp_path / "measured" / "throughput.csv"
    rows = list(csv.DictReader(path.open(newline="")))
    of_both = [row for row in rows if row["mode"] == "training" and row["compiled"] == "False"]
    larger = [row | {"source": "resnet200", "depthwise": "own"} for row in of_both]
    write_csv(path, list(rows[0]), [*rows, *larger])
    st.cache_data.clear()
    app = opened(step="kernel_7", metric="images_per_s")
    assert len(app.selectbox(key="setting").options) == 4
    app.segmented_control(key="roadmap-view").set_value("both")
    checked(app.run())
    assert app.selectbox(key="setting").options == ["Some GPU, training, bf16, batch 256, eager"]
    assert len(app.get("plotly_chart")) == 2
    assert html(app).count("Depthwise convolutions use our CUDA kernels.") == 1


def test_only_an_equal_network_is_called_that_of_the_step_before():
    assert "The network is the same as in the previous step." in html(opened(step="training"))
    page = html(opened(step="gelu"))
    assert "The convolutions are the same as in the previous step." in page
    assert "The network is the same" not in page


def test_both_sizes_stand_side_by_side():
    app = opened(step="gelu", view="both")
    charts = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    assert [c["data"][0]["customdata"][c["data"][0]["selectedpoints"][0]] for c in charts] == [
        "gelu",
        "gelu",
    ]
    assert "80.62 ± 0.14" in html(app)
    assert "82.19" in html(app)


def test_a_roadmap_of_training_has_bars_only():
    app = opened(roadmap="torchvision_recipe", view="path")
    assert selected(app) == "baseline"
    assert not [control for control in app.segmented_control if control.key == "roadmap-view"]


def test_an_unknown_view_is_a_sentence_above_the_bars():
    app = opened(step="gelu", view="pith")
    assert "Did you mean" in html(app)
    assert "path" in html(app)
    assert selected(app) == "gelu"


def test_every_step_stands_in_a_table_on_request():
    app = opened(step="kernel_7")
    assert not app.dataframe
    app.toggle(key="every-step").set_value(True)
    table = checked(app.run()).dataframe[0].value
    assert tuple(table["key"]) == ROADMAPS["resnet50"].keys
    page = html(app)  # beside the speeds, too, is how they were measured
    assert page.count("Speed and memory: Some GPU, inference, bf16, batch 256, compiled.") == 2


# Hypothesis, mechanism, evidence, confidence


def test_every_step_has_a_hypothesis_of_one_sentence_with_its_source():
    for roadmap in ROADMAPS.values():
        for step in roadmap.steps:
            assert step.hypothesis.endswith("."), step.key
            assert step.hypothesis.count(". ") == 0, step.key
            page = panel.hypothesis(roadmap, step.key)
            assert f"<cite>{source(step)}</cite>" in page
    assert "Section 2.5" in source(ROADMAPS["resnet50"].step("kernel_7"))


def picture(roadmap: str, step: str, name: str) -> str:
    st.cache_data.clear()
    rows = panel.rows(ROADMAPS[roadmap], step)
    return rows.split(f'id="panel-{name}"')[1].split("</section>")[0]


def test_the_key_names_only_what_the_drawing_shows():
    assert "Dashed: removed blocks." in html(opened(step="stage_ratio"))
    page = html(opened(step="patchify_stem"))
    assert "The grid is the kernel." in page
    assert "Dashed: removed blocks." not in page


def test_the_mechanism_goes_from_the_cost_before_to_the_cost_after():
    shown = picture("resnet50", "inverted_bottleneck", "mechanism")
    figures = re.findall(r'<td class="n">([^<]+)', shown)
    assert figures == ["5.27", "−0.77", "+0.06", "+0.09", "−0.002", "4.64"]
    bars = re.findall(r'left:([\d.]+)%;width:([\d.]+)%"', shown)
    starts = [(float(left), float(left) + float(width)) for left, width in bars]
    assert starts[0] == (0, 100)  # the largest
    assert starts[1][1] == pytest.approx(100)
    assert starts[2][0] == pytest.approx(starts[1][0], abs=0.02)  # each begins where the last ended
    before, after = (
        count(ROADMAPS["resnet50"].config(key)).macs
        for key in ("increase_width", "inverted_bottleneck")
    )
    assert starts[-1] == (0, pytest.approx(100 * after / before, abs=0.01))


def test_where_cost_stays_the_mechanism_counts_layers():
    shown = picture("resnet50", "fewer_activations", "mechanism")
    assert "54 → 18" in shown
    assert "4.15 GFLOPs, as before." in shown


def test_the_evidence_has_every_result_on_one_axis(tmp_path):
    shutil.copytree(ROOT / "results" / "reports", tmp_path / "reports")
    shown = picture("resnet50", "fewer_norms", "evidence")
    assert re.findall(r'scope="row">([^<]+)', shown) == [
        "ResNet-50, published, 3 seeds",
        "ResNet-200, published, 1 seed",
        "ResNet-50, here, Tiny ImageNet-100, 3 seeds",
    ]
    assert re.findall(r'<td class="n">([^<]+)', shown) == ["+0.14", "+0.46", "−3.16"]
    assert shown.count('class="interval"') == 2  # one seed has none
    zeros = set(re.findall(r'class="zero" style="left:([\d.]+)%', shown))
    assert len(zeros) == 1
    first, second, own = map(float, re.findall(r'class="dot \w+" style="left:([\d.]+)%', shown))
    assert own < float(zeros.pop()) < first < second


def test_the_confidence_follows_from_the_reports(tmp_path):
    without = picture("resnet50", "fewer_norms", "confidence")
    assert "Within noise" in without
    shutil.copytree(ROOT / "results" / "reports", tmp_path / "reports")
    with_ours = picture("resnet50", "fewer_norms", "confidence")
    assert "Contradicted here" in with_ours
    assert "Tiny ImageNet-100, 3 seeds, −3.16 (95% interval −4.02 to −2.30)" in with_ours
    assert "Strong" in picture("resnet50", "increase_width", "confidence")
    assert "Not tested" in picture("resnet50", "no_layer_scale", "confidence")
    assert "Nothing to test" in picture("resnet50", "baseline", "confidence")
    assert "this is the first step" in picture("resnet50", "baseline", "evidence")


def test_the_first_chart_does_not_wait_for_scipy():
    code = "import sys, roadmap.views.roadmap.page; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
