"""The parts of a network, the sums and the receptive fields that the page Picture shows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from models.network import ModernResNet
from models.spec import Conv, network_spec, placed_layers
from roadmap.measure.receptive_field import center, receptive_fields
from roadmap.steps import ROADMAPS
from roadmap.tables.pocket import shipped
from roadmap.views.picture import levels, networks
from roadmap.views.picture.networks import forward, pocket
from roadmap.views.picture.sheets import sheet, strongest
from roadmap.views.picture.terms import explain
from roadmap.views.picture.tree import IMAGE, OpenedPart, above, opened_part, tree

ROADMAP = ROADMAPS["resnet50"]
PICTURE = np.random.default_rng(0).integers(0, 256, (80, 96, 3), np.uint8)


@pytest.mark.parametrize("key", shipped())
def test_every_value_is_the_sum_that_is_shown(key):
    trained = pocket(key)
    outputs = forward(trained, PICTURE)
    parts = tree(trained.config, trained.image_size)
    explained = [part for part in parts.values() if part.layer or part.block]
    assert len(explained) > 15
    for part in explained:
        maps = outputs.maps[part.path]
        assert maps.shape == (part.channels, part.size, part.size)
        last = part.size - 1
        for channel, at in ((0, (0, 0)), (part.channels - 1, (last, last // 2))):
            found = explain(trained, outputs, part, channel, at)
            assert found.value == float(maps[channel, at[0], at[1]])
            assert found.result == pytest.approx(found.value, rel=1e-4, abs=2e-5), part.path
            if isinstance(part.layer, Conv):  # what is shown adds up as well
                shown = sum(window.sum for window in found.windows) + found.others[1]
                assert shown + (found.bias or 0) == pytest.approx(found.result)


def test_the_pass_is_the_networks_own():
    trained = pocket("baseline")
    outputs = forward(trained, PICTURE)
    with torch.inference_mode():
        logits = trained.network(outputs.maps[IMAGE][None])[0]
    assert outputs.probabilities == pytest.approx(tuple(logits.softmax(0).tolist()))
    assert not trained.network.stem.conv._forward_hooks


@pytest.mark.parametrize("key", ROADMAP.keys)
def test_the_tree_has_every_layer_and_the_fields_of_the_table(key):
    config = ROADMAP.config(key)
    parts = tree(config, 224)
    placed = {place.path: place.out_size for place in placed_layers(network_spec(config), 224)}
    assert {path: part.size for path, part in parts.items() if part.layer} == placed
    for field in receptive_fields(config):
        name = "stem" if field.part == "stem" else f"stages.{int(field.part[-1]) - 1}"
        assert (parts[name].field.size, parts[name].field.stride) == (field.size, field.stride)
    last = parts["stages.3"]
    middle = last.field.start + (last.field.size - 1) / 2 + last.size // 2 * last.field.stride
    assert middle == center(config, 224)


@pytest.mark.parametrize("key", ["gelu", "separate_downsampling"])
def test_a_field_is_what_the_output_depends_on(key):
    config = ROADMAP.config(key).replace(depths=(1, 1, 1, 1), width=8, num_classes=0)
    torch.manual_seed(0)
    network = ModernResNet(config).double().eval()
    image = torch.randn(1, 3, 96, 96, dtype=torch.double, requires_grad=True)
    parts = tree(config, 96)
    x = network.stages[:2](network.stem(image))
    for row, column in itertools.product((0, 6), (3, 11)):
        (slope,) = torch.autograd.grad(x[0, :, row, column].sum(), image, retain_graph=True)
        seen = slope[0].abs().sum(0) > 0
        field = parts["stages.1"].field
        for axis, at in ((1, row), (0, column)):
            pixels = seen.any(axis).nonzero().flatten()
            first = field.start + at * field.stride
            assert int(pixels[0]) == max(first, 0)
            assert int(pixels[-1]) == min(first + field.size - 1, 95)


def test_an_address_is_read_back_or_refused_with_a_sentence():
    parts = tree(pocket("baseline").config, 64)
    trees = {"a": parts, "b": parts}
    opened = OpenedPart("b", "stages.1.blocks.0.branch.conv2", 3, (1, 2))
    assert opened_part(str(opened), trees) == (opened, "")
    names = [str(each) for each in above(opened, parts)]
    assert names[0] == "b.stages.1"
    assert names[-1] == str(opened)
    assert len(names) == 5
    for text in ("c.stem", "a.head", "a.stem/16", "a.stem/0/16,0", "a.stem/0/1", "<b>", "a.stem/"):
        found, problem = opened_part(text, trees)
        assert found is None
        assert problem.endswith(".")
    assert opened_part(None, trees) == (None, "")


def test_a_sheet_holds_the_strongest_maps():
    maps = np.zeros((40, 4, 4), np.float32)
    maps[7], maps[3] = -2, 1
    assert strongest(maps, 2) == [7, 3]
    drawn = sheet(maps, range(40))
    assert (drawn.columns, drawn.rows) == (16, 3)
    assert drawn.uri.startswith("data:image/png;base64,")
    assert drawn.at(17) == "6.667% 50%"


def test_a_picture_is_cut_to_a_square():
    assert networks.square(PICTURE).shape == (80, 80, 3)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "&lt;1%"), (0.004, "&lt;1%"), (0.006, "1%"), (0.5, "50%"), (0.997, "&gt;99%")],
)
def test_no_class_is_said_to_be_impossible_or_certain(share, text):
    assert levels.percent(share) == text
