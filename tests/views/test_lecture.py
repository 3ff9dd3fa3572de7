"""What the slides of lecture mode say and show."""

from __future__ import annotations

import pytest

from roadmap.steps import ROADMAPS
from roadmap.views.common.recipe_text import recipe_changes
from roadmap.views.lecture.slides import slides


@pytest.mark.parametrize("name", ROADMAPS)
def test_a_slide_says_the_hypothesis_of_its_step_and_where_it_is_stated(name):
    for slide, step in zip(slides(name), ROADMAPS[name].steps, strict=True):
        assert slide["sentence"] == step.hypothesis
        assert slide["source"]


@pytest.mark.parametrize("name", ROADMAPS)
def test_a_slide_first_shows_what_its_step_changes(name):
    roadmap = ROADMAPS[name]
    for slide in slides(name)[1:]:
        first, previous = slide["views"][0], roadmap.previous(slide["key"])
        if roadmap.step(slide["key"]).recipe_changes:
            assert first == "recipe"
            assert slide["recipe"] == recipe_changes(roadmap, slide["key"]) != []
        else:
            marked = [each for each in slide[first]["shapes"] if each.get("mark")]
            assert marked, (slide["key"], previous)


def test_a_slide_has_two_or_three_figures_with_the_values_before_and_after():
    table = {slide["key"]: slide["figures"] for slide in slides("resnet50")}
    assert {len(figures) for key, figures in table.items()} <= {2, 3}
    top1, gflops, _ = table["inverted_bottleneck"]
    assert (top1["large"], top1["small"]) == ("+0.14", "80.50 → 80.64%")
    assert (gflops["large"], gflops["small"]) == ("−0.63", "5.27 → 4.64")
    assert table["training"][1] == {
        "large": "±0",
        "name": "GFLOPs per image",
        "small": "still 4.09",
    }


def test_small_values_of_a_recipe_are_written_out():
    rows = recipe_changes(ROADMAPS["torchvision_recipe"], "weight_decay")
    assert rows[0] == ("weight decay", "0.0001", "0.00002")
