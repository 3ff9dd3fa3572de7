"""What a URL selects, whatever it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roadmap.steps import ROADMAPS
from roadmap.views.common.address import Selection, selection


def test_nothing_is_the_first_step_of_the_first_roadmap():
    assert selection({}) == Selection("resnet50", "baseline")
    assert selection({"roadmap": "", "step": ""}) == Selection("resnet50", "baseline")


def test_names_that_exist():
    asked = {"roadmap": "resnet200", "step": "kernel_9", "utm_source": "mail"}
    assert selection(asked) == Selection("resnet200", "kernel_9")


def test_a_misspelled_step_is_answered_with_the_nearest():
    chosen = selection({"step": "kernel_77"})
    assert (chosen.roadmap, chosen.step) == ("resnet50", "baseline")
    assert "Did you mean 'kernel_7'?" in chosen.problems[0]


def test_a_step_of_another_roadmap_is_unknown_here():
    chosen = selection({"roadmap": "torchvision_recipe", "step": "kernel_7"})
    assert (chosen.roadmap, chosen.step) == ("torchvision_recipe", "baseline")
    assert len(chosen.problems) == 1


@given(st.dictionaries(st.sampled_from(["roadmap", "step", "x"]), st.text(max_size=300)))
def test_any_parameters_select_a_step_that_exists(parameters):
    chosen = selection(parameters)
    assert chosen.step in ROADMAPS[chosen.roadmap].keys
    assert all(len(problem) < 600 for problem in chosen.problems)
