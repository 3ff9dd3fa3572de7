"""The glossary: forms in text, drawings that are true, and the page of all terms."""

from __future__ import annotations

import base64
import json
import math
import re
import xml.etree.ElementTree as ET
import zlib
from collections import Counter

import pages
import pytest
import torch

from roadmap.recipes import RECIPES
from roadmap.steps import ROADMAPS
from roadmap.views.glossary import marks, shapes
from roadmap.views.glossary.pictures import (
    blocks,
    convolutions,
    images,
    measures,
    networks,
    training,
    values,
)
from roadmap.views.glossary.terms import GROUPS, TERMS
from roadmap.views.operations.data import brought

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def drawn(key: str) -> ET.Element:
    return ET.fromstring(TERMS[key].draw())


def filled(path: str) -> int:
    """Number of cells in a path of them."""
    return path.count("M")


def cell_paths(key: str) -> list[ET.Element]:
    return [path for path in drawn(key).iter(f"{SVG}path") if "z" in path.get("d")]


def found(text: str) -> list[str]:
    """Keys of the terms of a text, in order."""
    keys = [marks.forms()[match[0]] for match in re.finditer(marks.pattern(), text)]
    return [key for key in keys if key]


# Terms in text


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Depthwise convolution", ["depthwise-convolution"]),
        ("a depthwise convolution and a convolution", ["depthwise-convolution", "convolution"]),
        ("The 1×1 layers mix channels.", ["pointwise-convolution", "channel"]),
        ("Inverted bottlenecks, not bottlenecks", ["inverted-bottleneck", "bottleneck"]),
        ("BatchNorm to LayerNorm", ["batch-norm", "layer-norm"]),
        ("Batch norm, layer norm", ["batch-norm", "layer-norm"]),
        ("non-overlapping patches", ["patchify-stem"]),
        ("the effective receptive field", ["effective-receptive-field"]),
        ("four blocks per stage", ["stage-ratio"]),
        ("top-1 rises for 4.46 GFLOPs (multiply-adds)", ["top-1", "gflops", "gflops"]),
        ("13,000 images/s, with a 95% interval", ["throughput", "interval"]),
        ("warm-up, then a cosine schedule", ["warm-up", "cosine-schedule"]),
        ("backstage, system, blockade, top-10, multistage-kernel", []),
    ],
)
def test_the_longest_form_is_found_at_word_boundaries(text, keys):
    assert found(text) == keys


@pytest.mark.parametrize("text", marks.OTHER_MEANINGS)
def test_a_phrase_in_which_a_term_means_something_else_is_left_alone(text):
    assert found(f"Here, {text} count.") == []


def test_no_form_belongs_to_two_terms():
    spelled = Counter(
        form
        for term in TERMS.values()
        for form in {text.lower() for text in (term.name, *term.forms)}
    )
    assert [form for form, times in spelled.items() if times > 1] == []
    assert len(TERMS) == sum(map(len, GROUPS.values()))


def test_every_term_is_found_by_its_name():
    for term in TERMS.values():
        assert found(f"The {term.name}.")[0] == term.key


@pytest.mark.parametrize("term", TERMS.values(), ids=list(TERMS))
def test_a_definition_is_one_sentence(term):
    assert term.definition.endswith(".")
    assert not re.search(r"[.!?] [A-Z]", term.definition)
    assert 5 < len(term.definition.split()) <= 32


def test_try_it_leads_to_a_step_with_an_operation():
    roadmap = ROADMAPS["resnet50"]
    for key in {term.step for term in TERMS.values()} - {""}:
        assert brought(roadmap.config(roadmap.previous(key).key), roadmap.config(key)), key


def test_the_script_contains_no_tag_which_streamlit_would_refuse():
    inside = marks.script().removeprefix("<script>").removesuffix("</script>")
    assert not re.search(r"<[\w/!]", inside)
    assert len(inside) < 40_000


def test_the_script_s_data_hold_every_card():
    packed = re.search(r'packed: "([^"]+)"', marks.script())[1]
    data = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert data["cards"] == {key: marks.card(term) for key, term in TERMS.items()}
    assert data["forms"] == marks.forms()


# Drawings


@pytest.mark.parametrize("key", TERMS)
def test_a_drawing_is_labeled_fits_its_frame_and_can_be_read(key):
    svg = drawn(key)
    assert svg.tag == f"{SVG}svg"
    assert svg.get("viewBox") == f"0 0 {shapes.WIDTH} {shapes.HEIGHT}"
    assert svg.get("role") == "img"
    assert len(svg.get("aria-label").split()) > 4
    for text in svg.iter(f"{SVG}text"):
        assert float(text.get("font-size")) >= 12
        assert text.get("fill") == "currentColor"
        width = 7 * len(text.text)  # at most, at this size
        left = float(text.get("x")) - {"middle": width / 2, "end": width}.get(
            text.get("text-anchor"), 0
        )
        assert left >= -6, text.text
        assert left + width <= shapes.WIDTH + 6, text.text
        assert 10 <= float(text.get("y")) <= shapes.HEIGHT - 2, text.text
    for rect in svg.iter(f"{SVG}rect"):
        assert 0 <= float(rect.get("x")) <= shapes.WIDTH - float(rect.get("width"))
        assert 0 <= float(rect.get("y")) <= shapes.HEIGHT - float(rect.get("height"))


def test_no_two_drawings_are_the_same():
    assert len({term.draw() for term in TERMS.values()}) == len(TERMS)


def test_colors_are_those_of_the_palette_or_of_the_text():
    allowed = {*shapes.CHANNELS, shapes.INK, "none", networks.GRAY}
    for term in TERMS.values():
        for element in drawn(term.key).iter():
            assert {element.get("fill"), element.get("stroke")} - {None} <= allowed, term.key


@pytest.mark.parametrize(
    ("key", "function"),
    [("gelu", torch.nn.functional.gelu), ("relu", torch.nn.functional.relu)],
)
def test_a_curve_is_the_function(key, function):
    curve = max(drawn(key).iter(f"{SVG}path"), key=lambda path: float(path.get("stroke-width")))
    numbers = [float(number) for number in NUMBER.findall(curve.get("d"))]
    left, top, right, bottom = values.PLOT.box
    (first, last), (low, high) = values.PLOT.x, values.PLOT.y
    assert len(numbers) > 4
    for x, y in zip(numbers[::2], numbers[1::2], strict=True):
        value = first + (x - left) / (right - left) * (last - first)
        expected = float(function(torch.tensor(value)))
        shown = low + (bottom - y) / (bottom - top) * (high - low)
        assert shown == pytest.approx(expected, abs=0.01)


def test_groups_connect_as_many_channels_as_a_convolution_of_pytorch():
    for groups in (1, 2, 4):
        conv = torch.nn.Conv2d(4, 4, 1, groups=groups, bias=False)
        assert len(convolutions.wires(groups)) == conv.weight.numel()


def test_depthwise_has_one_kernel_per_channel():
    svg = drawn("depthwise-convolution")
    kernels = [rect for rect in svg.iter(f"{SVG}rect") if rect.get("width") == "22"]
    assert [kernel.get("fill") for kernel in kernels] == list(shapes.CHANNELS)
    wires = [path for path in svg.iter(f"{SVG}path") if path.get("stroke-width") == "2"]
    assert len(wires) == convolutions.COUNT


def test_the_feature_map_and_the_pooled_numbers_are_computed():
    image, kernel = (torch.tensor(each) for each in (convolutions.IMAGE, convolutions.EDGE))
    expected = torch.nn.functional.conv2d(image[None, None], kernel[None, None].float())[0, 0]
    assert convolutions.convolve(convolutions.IMAGE, convolutions.EDGE) == expected.tolist()
    pooled = torch.nn.functional.max_pool2d(torch.tensor([convolutions.POOLED]).float(), 2)[0]
    assert convolutions.pooled() == pooled.int().tolist()
    for stride in (1, 2):
        outputs = torch.nn.functional.max_pool1d(torch.zeros(1, 1, 9), 3, stride).shape[2]
        assert len(convolutions.starts(stride)) == outputs


def test_norms_average_the_values_that_pytorch_averages():
    counts = {
        key: filled(sorted(cell_paths(key), key=lambda path: path.get("fill-opacity"))[-1].get("d"))
        for key in ("batch-norm", "layer-norm")
    }
    assert counts["layer-norm"] == values.ROWS
    together = sum(
        filled(path.get("d"))
        for path in cell_paths("batch-norm")
        if path.get("fill-opacity") == "0.85"
    )
    assert together == values.IMAGES * values.COLUMNS


def test_blocks_have_the_channels_of_their_steps():
    assert blocks.widths("baseline") == [256, 64, 64, 256]
    assert blocks.widths("inverted_bottleneck") == [96, 384, 384, 96]
    assert blocks.drop_rates(6)[0] == 0
    assert blocks.drop_rates(6)[-1] == RECIPES["convnext"].stochastic_depth


def test_stages_have_the_blocks_of_their_steps():
    bars = [
        rect
        for rect in drawn("stage-ratio").iter(f"{SVG}rect")
        if rect.get("fill") in (networks.BLUE, networks.ORANGE)
    ]
    assert len(bars) == sum((3, 4, 6, 3)) + sum((3, 3, 9, 3))
    assert networks.depths("baseline") == (3, 4, 6, 3)


def test_the_effective_field_is_the_gradient_of_a_stack_of_convolutions():
    row = torch.zeros(1, 1, 13, requires_grad=True)
    out = row
    for _ in range(6):
        out = torch.nn.functional.conv1d(out, torch.ones(1, 1, 3), padding=1)
    out[0, 0, 6].backward()
    assert networks.spread(6) == row.grad[0, 0].int().tolist()


def test_optimizers_take_the_steps_of_pytorch():
    for path, optimizer in (
        (training.sgd_path(), lambda at: torch.optim.SGD(at, lr=0.09)),
        (training.adamw_path(), lambda at: torch.optim.AdamW(at, lr=0.6, weight_decay=0.01)),
    ):
        at = torch.tensor(training.START, dtype=torch.float64, requires_grad=True)
        steps = optimizer([at])
        for point in path:
            assert point == pytest.approx(at.tolist(), abs=1e-9)
            steps.zero_grad()
            ((at[0] ** 2 + training.STEEP * at[1] ** 2) / 2).backward()
            steps.step()


def test_targets_shares_and_intervals_are_true():
    targets = torch.zeros(training.CLASSES)
    targets[1] = 1
    smooth = targets * (1 - training.SMOOTHING) + training.SMOOTHING / training.CLASSES
    assert training.smoothed() == pytest.approx(smooth.tolist())
    assert sum(training.smoothed()) == pytest.approx(1)
    rectangle = [
        float(svg.get("width")) * float(svg.get("height"))
        for svg in drawn("cutmix").iter(f"{SVG}svg")
    ][1]
    assert rectangle / images.SIDE**2 == pytest.approx(1 - 0.75)
    missed = [low for low, high in measures.intervals() if not low < 0 < high]
    assert len(missed) / len(measures.intervals()) == pytest.approx(0.05)
    assert training.averages([0.0, 1.0, 1.0], 0.9) == pytest.approx([0, 0.1, 0.19])
    assert math.isclose(sum(map(sum, networks.MAPS[0])) / 9, networks.means()[0])


def test_the_schedule_is_that_of_the_recipe():
    path = max(
        drawn("warm-up").iter(f"{SVG}path"), key=lambda path: float(path.get("stroke-width"))
    )
    points = [float(number) for number in NUMBER.findall(path.get("d"))]
    left, _, right, _ = training.CURVE.box
    epochs = (points[-2] - left) / (right - left) * 300
    assert epochs == pytest.approx(RECIPES["convnext"].warmup_epochs, abs=0.5)


# The page


def test_the_page_shows_every_term_and_unfolds_the_one_in_the_url():
    page = pages.opened("glossary", term="gelu")
    shown = "".join(element.value for element in page.markdown)
    assert shown.count('role="img"') == shown.count("<summary>") == len(TERMS)
    assert shown.count("<details open>") == 1
    assert shown.index("data-wanted") < shown.index("<summary>GELU</summary>")


def test_an_unknown_term_in_the_url_is_named():
    page = pages.opened("glossary", term="gelus")
    assert "gelus" in pages.html(page)
    assert "gelu" in pages.html(page)
    assert "<details open>" not in "".join(element.value for element in page.markdown)
