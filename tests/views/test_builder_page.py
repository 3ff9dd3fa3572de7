"""The builder, run by Streamlit's own test harness."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pages
import pytest
from pages import address, checked, html
from streamlit.testing.v1 import AppTest

from models import VARIANTS
from models.config import BOUNDS, CHOICES, FIELDS
from roadmap.export import packages
from roadmap.measure.complexity import count
from roadmap.runs.folders import RUNS_VARIABLE
from roadmap.steps import ROADMAPS
from roadmap.views.builder import naming
from roadmap.views.common.builder_address import STARTS, StartingPoint, parse
from roadmap.views.common.fields import CONTROLS, GROUPS, group_of

opened = partial(pages.opened, "builder")
FEWER_NORMS = ROADMAPS["resnet50"].config("fewer_norms")
ROOT = Path(__file__).parents[2]


def unfold(app: AppTest, field: str) -> AppTest:
    """Open the controls with that of ``field``."""
    app.query_params["part"] = f"stage1.{group_of(field)}"
    return checked(app.run())


def change(app: AppTest, kind: str, field: str, value) -> AppTest:
    unfold(app, field)
    getattr(app, kind)(key=f"field-{field}").set_value(value)
    return checked(app.run())


def widgets(app: AppTest) -> dict[str, object]:
    kinds = (app.segmented_control, app.number_input, app.text_input)
    return {element.key: element for kind in kinds for element in kind}


def test_without_an_experiment_there_is_a_sentence_in_place_of_a_prediction(tmp_path, monkeypatch):
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path))
    assert "the folder of runs has no experiment to predict from" in html(opened())


def test_every_field_of_the_config_has_a_control():
    assert set(CONTROLS) == set(FIELDS)
    app, shown = opened(), {}
    for group in GROUPS:
        app.query_params["part"] = f"stage1.{group}"
        shown |= widgets(checked(app.run()))
    assert {f"field-{name}" for name in FIELDS} <= set(shown)
    for name, choices in CHOICES.items():
        assert len(shown[f"field-{name}"].options) == len(choices)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_number_outside_the_bounds_is_said_and_stays_in_its_field(name):
    low, high = BOUNDS[name]
    group = group_of(name)
    for wrong in (low - 1, high + 1):
        app = opened(a="resnet50.baseline", part=f"stage1.{group}")
        change(app, "number_input", name, wrong)
        said = f"{name} is {wrong}; use a whole number from {low} to {high:,}."
        assert f'class="refusal" role="alert">{said}</p>' in html(app)
        assert app.number_input(key=f"field-{name}").value == wrong


@pytest.mark.parametrize("source", STARTS)
def test_every_starting_point_shows_its_own_values_and_costs(source):
    app = opened()
    for name in STARTS[source]:
        app.query_params["a"] = f"{source}.{name}"
        checked(app.run())
        config = VARIANTS[name] if source == "variant" else ROADMAPS[source].config(name)
        shown = widgets(app)
        assert shown["field-width"].value == config.width
        assert shown["field-in_channels"].value == config.in_channels
        assert shown["field-depths"].value == ", ".join(map(str, config.depths))
        assert f">{count(config).parameters / 1e6:.1f}<" in html(app)
        assert "No changes yet" in html(app)


def test_a_change_is_counted_against_the_start_and_stands_in_the_url():
    app = change(opened(a="variant.convnext_tiny"), "number_input", "kernel_size", 5)
    assert address(app)["a"] == "variant.convnext_tiny~kernel_size.5"
    before, after = (
        count(config).parameters
        for config in (
            VARIANTS["convnext_tiny"],
            VARIANTS["convnext_tiny"].replace(kernel_size=5),
        )
    )
    assert f">{after / 1e6:.1f}<" in html(app)
    assert f"−{round(before / 1e6, 1) - round(after / 1e6, 1):.1f}<" in html(app)
    assert "<td>Kernel size</td><td>7</td><td>5</td>" in html(app)


def test_what_makes_no_network_is_refused_at_its_control_until_it_does():
    app = change(opened(a="resnet50.baseline"), "segmented_control", "norms_per_block", 1)
    assert "set block to &#x27;inverted&#x27; and depthwise to true" in html(app)
    assert "A, last valid" in html(app)
    assert address(app)["a"] == "resnet50.baseline"
    change(app, "segmented_control", "depthwise", True)
    assert 'class="refusal"' in html(app)  # the block is still a bottleneck
    change(app, "segmented_control", "block", "inverted")
    assert 'class="refusal"' not in html(app)
    assert "block.inverted~depthwise.true~norms_per_block.1" in address(app)["a"]


def test_a_refusal_is_shown_beside_other_controls_and_leads_to_what_it_is_about():
    app = change(opened(a="resnet50.baseline"), "segmented_control", "norms_per_block", 1)
    for group, field in (("block", "block"), ("spatial", "depthwise")):
        app.button(key=f"open-{group}").click()
        checked(app.run())
        assert address(app)["part"] == f"stage1.{group}"
        assert f"field-{field}" in widgets(app)
        assert html(app).count('class="refusal"') == 1
    assert address(app)["a"] == "resnet50.baseline"


def test_the_open_part_stays_open_when_the_network_changes_and_undo_keeps_it():
    app = opened(a="variant.convnext_tiny", part="stage4.norm")
    change(app, "number_input", "kernel_size", 5)
    assert address(app)["part"] == "stage1.spatial"
    app.query_params["part"] = "stage4.norm"
    checked(app.run())
    button(app, "Undo").click()
    assert address(checked(app.run())) == {"a": "variant.convnext_tiny", "part": "stage4.norm"}
    app.query_params["a"] = "variant.convnext_tiny~depths.3-3"  # it has no stage 4
    assert "field-norm" in widgets(checked(app.run()))


def test_controls_are_chosen_from_a_list_too():
    app = opened(a="variant.convnext_tiny")
    app.selectbox(key="group").set_value("stem")
    assert address(checked(app.run()))["part"] == "stem"
    assert "field-stem" in widgets(app)
    app.selectbox(key="group").set_value("spatial")
    assert address(checked(app.run()))["part"] == "stage1.spatial"


def test_a_refusal_can_be_undone():
    app = change(opened(a="resnet50.kernel_7"), "text_input", "depths", "3, 3, many, 3")
    assert "depths is &#x27;3, 3, many, 3&#x27;" in html(app)
    app.button(key="discard").click()
    checked(app.run())
    assert app.text_input(key="field-depths").value == "3, 3, 9, 3"
    assert 'class="refusal"' not in html(app)


def test_depths_of_thousands_of_digits_are_refused():
    app = change(opened(a="resnet50.kernel_7"), "text_input", "depths", "9" * 5000)
    assert "use 1 to 6 positive whole numbers" in html(app)
    assert app.text_input(key="field-depths").value == "9" * 5000


def test_depths_are_read_as_people_write_them():
    app = change(opened(a="resnet50.kernel_7"), "text_input", "depths", "(2, 2,6 2)")
    assert address(app)["a"] == "resnet50.kernel_7~depths.2-2-6-2"


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (VARIANTS["convnext_small"].to_json().encode(), "'variant.convnext_small'"),
        (FEWER_NORMS.replace(kernel_size=9).to_json().encode(), "50.fewer_norms~kernel_size.9'"),
        (b'{"norms_per_block": 1}', "set block to"),
        (
            json.dumps(
                {"roadmap": "resnet50", "step": "gelu", "config": FEWER_NORMS.to_dict()}
            ).encode(),
            "'resnet50.gelu~activations_per_block.1~norms_per_block.1'",
        ),
        (
            json.dumps({"roadmap": [], "step": {}, "config": FEWER_NORMS.to_dict()}).encode(),
            "'resnet50.fewer_norms'",
        ),
        (b'{"architecture": "roadmap_resnet50_gelu", "num_classes": 10}', "50.gelu~num_classes.10"),
        (b'{"architecture": "convnext_base.fb_in22k"}', "variant.convnext_base"),
        (b'{"architecture": "resnet18"}', "No network is named &#x27;resnet18&#x27;"),
        (b'{"architecture": "resnet50", "model_args": [1]}', "model_args are not an object"),
        (b'{"x": 1}', "config.json: the config has no field &#x27;x&#x27;"),
        (b"\xff\xfe", "not text"),
        (b"[" * 9999, "nested too deeply"),
    ],
)
def test_a_config_is_opened_from_a_file(content, answer):
    app = opened(a="variant.convnext_tiny")
    app.file_uploader(key="upload").upload("config.json", content, "application/json")
    checked(app.run())
    assert answer in repr(address(app)["a"]) + html(app)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("timm:convnext_tiny.fb_in1k", "variant.convnext_tiny"),
        ("resnext50_32x4d", "variant.resnext50"),
        ("resnet101.a1h_in1k", "variant.resnet50~depths.3-4-23-3"),
        (" roadmap_resnet200_kernel_7 ", "resnet200.kernel_7"),
    ],
)
def test_a_network_is_opened_by_its_name_in_timm(name, there):
    app = opened(a="resnet50.gelu~width.48")
    app.text_input(key="timm-name").set_value(name)
    assert address(checked(app.run()))["a"] == there


def test_an_unknown_name_in_timm_is_refused_and_changes_nothing():
    app = opened(a="resnet50.gelu~width.48")
    app.text_input(key="timm-name").set_value("convnext_tinny")
    assert "Did you mean &#x27;convnext_tiny&#x27;?" in html(checked(app.run()))
    assert address(app)["a"] == "resnet50.gelu~width.48"


def button(app: AppTest, label: str):
    (found,) = (each for each in app.button if each.label == label)
    return found


def test_changes_are_undone_and_redone():
    app = opened(a="resnet50.gelu")
    assert button(app, "Undo").disabled
    for width in (48, 32):
        change(app, "number_input", "width", width)
    for label, width in (("Undo", 48), ("Undo", 96), ("Redo", 48)):
        button(app, label).click()
        checked(app.run())
        assert app.number_input(key="field-width").value == width
    assert address(app)["a"] == "resnet50.gelu~width.48"
    change(app, "number_input", "width", 80)
    assert button(app, "Redo").disabled  # another way was taken
    button(app, "Undo").click()
    checked(app.run())
    assert address(app)["a"] == "resnet50.gelu~width.48"


@pytest.mark.parametrize(
    ("parameters", "stem"),
    [
        ({"a": "variant.convnext_tiny"}, "convnext-tiny"),
        ({"a": "variant.convnext_tiny~kernel_size.9"}, "convnext-tiny-kernel-size-9"),
        ({"a": "resnet50.separate_downsampling~kernel_size.9"}, "convnext-tiny-kernel-size-9"),
        ({"a": "resnet50.gelu~layer_scale.1e-06"}, "resnet50-gelu-layer-scale-1e-06"),
        ({"a": "resnet50.gelu", "b": "resnet50.kernel_7"}, "resnet50-gelu-A"),
        ({"a": "resnet50.gelu", "b": "resnet50.kernel_7", "edit": "b"}, "resnet50-kernel-7-B"),
        (
            {"a": "variant.convnext_tiny~width.48~kernel_size.9~depths.1-1~num_classes.10"},
            "convnext-tiny-4-changes",
        ),
    ],
)
def test_files_are_named_after_what_they_hold(parameters, stem):
    assert naming.stem(parse(parameters, StartingPoint("resnet50", "baseline"))) == stem


def test_the_network_is_drawn_beside_the_other():
    app = opened(a="variant.convnext_tiny")
    assert drawn(app) == []  # nothing differs from the start
    change(app, "number_input", "kernel_size", 9)
    assert drawn(app) == [2, 2]
    assert "Start: ConvNeXt-T" in drawings(app)
    app.query_params["part"] = "stem"
    assert drawn(checked(app.run())) == [2, 1]
    app = opened(a="variant.convnext_tiny", b="variant.resnet50")
    assert drawn(app) == [2, 2]
    assert drawings(app).count("<figcaption>B</figcaption>") == 2


def drawings(app: AppTest) -> str:
    return " ".join(each.value for each in app.markdown if 'class="drawing"' in each.value)


def drawn(app: AppTest) -> list[int]:
    """Return the panels of the drawing of the network, and of the open part."""
    return [text.count("<svg") for text in drawings(app).split('class="drawing"')[1:]]


def test_signs_compare_the_edited_network_with_the_other():
    a, b = "resnet50.gelu", "resnet50.fewer_activations"
    for edit in "ab":
        (workspace,) = opened(a=a, b=b, edit=edit).get("bidi_component")
        content = json.loads(workspace.proto.json)["html"]
        assert f"Signs compare with {'A' if edit == 'b' else 'B'}." in content
        assert (content.count(">+</text>") > 0) == (edit == "a")  # it has more activations


def test_the_difference_between_two_networks_is_said():
    a, b = VARIANTS["convnext_tiny"], VARIANTS["convnext_tiny"].replace(kernel_size=9)
    shares = [count(each).parameters for each in (a, b)]
    said = naming.difference(a, b, 224)
    assert f"+{100 * (shares[1] / shares[0] - 1):.2f}% parameters" in said
    flops = [count(each).macs for each in (a, b)]
    assert f"+{100 * (flops[1] / flops[0] - 1):.1f}% GFLOPs" in said
    assert "the same activations" in said
    assert naming.difference(b, a, 224).count("−") == 2
    wide = naming.difference(a, a.replace(width=192), 224)
    assert re.search(r"3\.\d times the parameters", wide)
    app = opened(a="variant.convnext_tiny", b="variant.convnext_tiny~kernel_size.9")
    assert said in html(app)


def test_two_configs_are_edited_and_compared():
    app = opened(a="variant.convnext_tiny")
    app.segmented_control(key="slot").set_value("b")
    checked(app.run())
    change(app, "number_input", "width", 128)
    said = address(app)
    assert (said["a"], said["b"]) == (
        "variant.convnext_tiny",
        "variant.convnext_tiny~width.128",
    )
    row = '<tr class="changed"><th scope="row"><span class="delta" aria-label="differs">Δ</span>'
    assert f"{row}Width</th><td>96</td><td>128</td>" in html(app)
    same = '<tr><th scope="row">Stem</th><td>Patchify</td><td>Patchify</td>'
    assert same not in html(app)
    app.toggle(key="only-differences").set_value(False)
    assert same in html(checked(app.run()))
    app.segmented_control(key="slot").set_value("a")
    checked(app.run())
    assert app.number_input(key="field-width").value == 96
    assert {trace["name"] for trace in chart(app)} >= {"A", "B", "ConvNeXt", "Swin"}


def test_the_accuracies_that_are_predicted_for_a_and_b_are_in_one_row():
    app = opened(a="resnet50.gelu", b="resnet50.fewer_norms")
    (said,) = re.findall(r"Tiny ImageNet-100: ([\d.]+)% top-1, ([\d.]+ to [\d.]+)", html(app))
    row = re.search(
        r"Predicted top-1 on Tiny ImageNet-100, %</th><td>([^<]*)</td><td>([^<]*)<", html(app)
    )
    assert row and row[1] == "{} ({})".format(*said)
    assert row[2] != row[1]
    app = opened(a="resnet50.gelu", b="variant.convnextv2_tiny")
    assert re.search(r"Predicted top-1 on Tiny ImageNet-100, %.*<td>not covered<", html(app))


def chart(app: AppTest) -> list[dict]:
    (element,) = app.get("plotly_chart")
    return [trace for trace in json.loads(element.proto.spec)["data"] if trace.get("name")]


def test_the_chart_shows_what_is_built_beside_the_known():
    app = opened(a="variant.convnext_tiny~width.128")
    points = {trace["name"]: (trace["x"][0], trace["y"][0]) for trace in chart(app)}
    costs = count(VARIANTS["convnext_tiny"].replace(width=128))
    assert points["A"] == pytest.approx((costs.macs / 1e9, costs.parameters / 1e6))
    tiny = count(VARIANTS["convnext_tiny"])
    assert points["Start"] == points["ConvNeXt"]
    assert points["ConvNeXt"] == pytest.approx((tiny.macs / 1e9, tiny.parameters / 1e6))
    assert points["Swin"] == (4.5, 28)


@pytest.mark.parametrize(
    "parameters",
    [
        {"a": "<script>alert(1)</script>"},
        {"a": "resnet50.baseline~norms_per_block.1", "b": "x" * 5000},
        {"a": "resnet50.baseline~width." + "9" * 500, "image": "-1"},
        {"a": "variant.convnext_tiny~depths.\x00-\u202e", "edit": "<b>"},
        {"roadmap": "nowhere", "step": "![x](y)", "b": "~~~..."},
        {"roadmap": "resnet50", "step": "kernel_77"},
        {"part": "stage9.norm"},
        {"part": "stage1.<b>"},
    ],
)
def test_whatever_the_url_says_there_is_a_message_and_a_working_page(parameters):
    app = opened(**parameters)
    page = html(app)
    assert page.count('class="notice"') == 1
    assert "<script>alert" not in page
    assert app.get("plotly_chart")
    change(app, "number_input", "width", 32)
    assert "~width.32" in address(app)["a"]
    assert 'class="notice"' not in html(app)


def test_a_network_beyond_the_memory_is_counted_and_not_built():
    app = opened(a="variant.convnext_tiny~width.8192")
    assert "Its costs are counted without building it." in html(app)
    assert app.button(key="measure").disabled
    for form in ("safetensors", "onnx", "pt2"):
        assert app.button(key=f"make-{form}").disabled
    files = {element.proto.label: element.proto for element in app.get("download_button")}
    assert not files["Python file"].disabled


def test_a_batch_beyond_the_memory_is_not_measured():
    app = opened(a="resnet50.baseline")
    app.segmented_control(key="measure-mode").set_value("training")
    app.number_input(key="measure-batch").set_value(256)
    checked(app.run())
    assert app.button(key="measure").disabled
    assert "choose a smaller batch" in html(app)


def test_onnx_without_its_packages_is_a_sentence(monkeypatch):
    monkeypatch.setattr(packages, "missing_packages", lambda: ("onnxscript",))
    app = opened(a="resnet50.baseline")
    assert app.button(key="make-onnx").disabled
    assert not app.button(key="make-safetensors").disabled
    assert "ONNX export needs onnxscript: install this project with the [onnx] extra" in html(app)


def test_an_image_without_a_pixel_left_is_a_sentence():
    app = opened(a="variant.convnext_tiny", image="16")
    assert "Choose a larger image" in html(app)
    (folded,) = app.expander
    assert folded.proto.expanded
    app.number_input(key="image").set_value(64)
    assert 'class="notice"' not in html(checked(app.run()))
    assert address(app)["image"] == "64"


def test_the_nearest_measured_networks_are_named_with_their_scores():
    app = opened(a="variant.convnext_tiny~kernel_size.9")
    (table,) = re.findall(r'<table class="nearest">.*?</table>', html(app))
    first = table.split("<tr>")[2]
    assert "kernel size 7 (here 9)" in first
    assert "300 epochs, rate 0.004, 224 pixels" in table
    assert "Tiny ImageNet-100: 120 epochs" in table
    assert re.search(r"58\.0 ±0\.3<br><small>\(2 seeds\)", table)
    assert re.search(r">83\.1<", table)  # published without the number of seeds
    change(app, "number_input", "kernel_size", 7)
    assert "nothing: the same network" in html(app)
