"""The effective receptive field: where it is, how large, and that it is the gradient's."""

from __future__ import annotations

import pytest
import torch

from models import ModelConfig, ModernResNet
from roadmap.measure.effective_field import EffectiveField, effective_field, image_count, untrained
from roadmap.measure.receptive_field import receptive_fields
from roadmap.steps import ROADMAPS

SMALL = ModelConfig(
    depths=(1, 1), width=4, stem="patchify", block="inverted", depthwise=True, kernel_size=7
)
SIDE = 120


def test_it_is_the_gradient_of_the_middle_position():
    """Against differences: an image moved in one pixel moves the position by its gradient."""
    network = untrained(SMALL.replace(activation="gelu"), SIDE)
    field = effective_field(network, SIDE)
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).double()
    network.double()

    def position(moved: torch.Tensor) -> float:
        features = network.forward_features(moved)
        middle = features.shape[-1] // 2
        return features[0, :, middle, middle].sum().item()

    pixels, step = [(60, 60), (64, 57), (70, 66), (0, 0)], 1e-5
    slopes = []
    for row, column in pixels:
        slope = 0.0
        for channel in range(3):
            ahead, behind = image.clone(), image.clone()
            ahead[0, channel, row, column] += step
            behind[0, channel, row, column] -= step
            slope += abs(position(ahead) - position(behind)) / (2 * step)
        slopes.append(slope)
    found = [field.contributions[pixel].item() for pixel in pixels]
    assert [value / found[0] for value in found] == pytest.approx(
        [slope / slopes[0] for slope in slopes], rel=1e-3, abs=1e-6
    )


def test_nothing_is_outside_of_the_theoretical_field():
    field = effective_field(untrained(SMALL, SIDE), SIDE)
    side = receptive_fields(SMALL)[-1].size
    assert side < SIDE
    assert field.contributions.sum().item() == pytest.approx(1)
    assert field.side(1 - 1e-6) <= side
    assert field.side(0.2) < field.side(0.5) < field.side(0.8) < side


def test_sides_of_known_maps():
    even = EffectiveField(torch.full((100, 100), 1e-4), 49.5, 1)
    assert [even.side(share) for share in (0.04, 0.25, 1.0)] == [20, 50, 100]
    point = torch.zeros(9, 9)
    point[4, 4] = 1.0
    assert EffectiveField(point, 4, 1).side(0.99) == 1
    cells = EffectiveField(point, 4, 1).cells(3)
    assert cells.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_larger_kernels_see_more():
    sides = [
        effective_field(untrained(SMALL.replace(kernel_size=size), SIDE), SIDE).side(0.5)
        for size in (3, 5, 7)
    ]
    assert sides == sorted(set(sides))


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_same_seed_is_the_same_field_and_images_are_averaged(norm):
    config = SMALL.replace(norm=norm, layer_scale=1e-6)
    one, two = (effective_field(untrained(config, SIDE), SIDE, images=2) for _ in range(2))
    assert torch.equal(one.contributions, two.contributions)
    single = effective_field(untrained(config, SIDE), SIDE, images=1)
    assert not torch.equal(one.contributions, single.contributions)
    assert single.side(0.5) > 4  # the branches count although layer scale starts near zero


def test_progress():
    told = []
    network = ModernResNet(SMALL)
    effective_field(network, 64, images=3, on_progress=lambda *done: told.append(done[0]))
    assert told == [1, 2, 3]


@pytest.mark.parametrize(("roadmap", "images"), [("resnet50", 4), ("resnet200", 2)])
def test_steps_of_a_roadmap_are_averaged_over_as_many_images(roadmap, images):
    steps = ROADMAPS[roadmap]
    assert {image_count(steps.config(key)) for key in steps.keys} == {images}
