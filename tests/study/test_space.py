"""Spaces: factors from a roadmap's steps, valid combinations, reading and refusing."""

import copy
import json
from dataclasses import replace

import pytest
from studies import small_space

from models.config import ModelConfig
from roadmap.definition import Step
from roadmap.steps import ROADMAPS
from roadmap.study import factors
from roadmap.study.space import (
    StudyError,
    network_cost,
    pocket_space,
    roadmap_space,
)
from roadmap.study.space_reading import space_from_dict
from roadmap.train.pocket import pocket_config

RESNET50 = ROADMAPS["resnet50"]
SETTINGS = (factors.layer_scale(), factors.initialization())


@pytest.fixture(scope="module")
def space():
    return roadmap_space(RESNET50, SETTINGS, recipe=factors.LIGHT)


@pytest.mark.parametrize("key", [k for k in RESNET50.keys if k != "baseline"])
def test_every_step_is_a_combination_that_makes_its_network(space, key):
    expected = RESNET50.config(key)
    found = space.network(space.step_levels(key))
    assert found == expected.replace(stochastic_depth=found.stochastic_depth)


@pytest.mark.parametrize("key", [k for k in RESNET50.keys if k != "baseline"])
def test_a_space_of_pocket_networks_has_the_steps_pocket_networks(space, key):
    small = pocket_space(space)
    expected = pocket_config(RESNET50.config(key))
    found = small.network(small.step_levels(key))
    assert found == expected.replace(stochastic_depth=found.stochastic_depth)


def test_the_baseline_is_not_in_the_space_as_its_initialization_is_no_level(space):
    with pytest.raises(StudyError, match="with Kaiming initialization"):
        space.step_levels("baseline")


def test_steps_that_set_one_number_are_levels_of_one_factor(space):
    kernel = space.factor("kernel_size")
    assert kernel.keys == ("3", "5", "7", "9", "11")
    assert [kernel.coded(key) for key in kernel.keys] == [-1, -0.5, 0, 0.5, 1]


def test_a_step_of_ones_own_becomes_a_factor():
    own = Step(key="wide_kernel", title="Own", group="x", why="", config_changes={"groups": 2})
    steps = (*RESNET50.steps, own)
    roadmap = replace(RESNET50, title="Own", steps=steps)
    found = roadmap_space(roadmap, SETTINGS).factor("wide_kernel")
    assert found.title == "Own"
    assert dict(found.level("on").config) == {"groups": 2}


def test_a_roadmap_of_recipes_has_recipe_factors():
    roadmap = ROADMAPS["torchvision_recipe"]
    space = roadmap_space(roadmap, ())
    assert tuple(space.by_name) == roadmap.keys[1:]
    levels = space.origin | {"mixup": "on", "long_training": "on"}
    assert (space.training(levels).mixup, space.training(levels).epochs) == (0.2, 600)


@pytest.mark.parametrize(
    ("levels", "why"),
    [
        ({"move_up_depthwise": "on"}, "depthwise is false"),
        ({"depthwise_conv": "on", "fewer_norms": "on"}, "set block to 'inverted'"),
        ({"inverted_bottleneck": "on"}, "GFLOPs; the limit of the space is 0.5"),
    ],
)
def test_a_combination_that_is_not_in_the_space_says_why(levels, why):
    space = small_space(max_gmacs=0.5)
    assert why in space.problem(space.origin | levels)
    assert space.problem(space.origin) is None


def test_costs_are_those_of_the_network():
    from roadmap.measure.complexity import count

    config = RESNET50.config("fewer_activations")
    found = count(config)
    assert network_cost(config) == (found.macs / 1e9, found.parameters)


def test_a_space_is_read_as_it_was_written(space):
    written = json.loads(json.dumps(space.to_dict()))
    assert space_from_dict(written) == space


def test_an_epochs_level_brings_its_warm_up():
    factor = factors.epochs([1, 10, 40])
    warmups = [level.recipe["warmup_epochs"] for level in factor.levels]
    assert warmups == [0, 1, 3]


def _damaged(change):
    found = json.loads(json.dumps(small_space().to_dict()))
    change(found)
    return found


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: s.update(roadmap="nowhere"), "No roadmap is named 'nowhere'"),
        (lambda s: s["start"].update(width=0), "width is 0"),
        (lambda s: s["recipe"].update(rate=1), "no field 'rate'"),
        (lambda s: s.update(factors=[]), "at least one factor"),
        (lambda s: s["factors"].append(copy.deepcopy(s["factors"][0])), "different names"),
        (lambda s: s["factors"][0]["levels"].pop(), "at least two levels with different keys"),
        (lambda s: s["factors"][0].update(scale="cubic"), "use log2 or linear"),
        (lambda s: s["factors"][-1]["levels"][0].update(value=None), "without a value"),
        (
            lambda s: s["factors"][-1]["levels"][0].update(value=0),
            "non-positive values with",
        ),
        (lambda s: s["factors"][0]["levels"][1]["config"].update(widht=3), "no field 'widht'"),
        (lambda s: s.update(max_gmacs=1e-9), "start of the space is not valid"),
        (lambda s: s.pop("start"), "no field 'start'"),
        (lambda s: s.update(factors=3), "damaged"),
        (lambda s: s["factors"][0]["levels"][0].update(more=1), "damaged"),
    ],
)
def test_a_damaged_space_is_refused_with_a_sentence(change, why):
    with pytest.raises(StudyError, match=why):
        space_from_dict(_damaged(change))


@pytest.mark.parametrize("found", [None, [], 3, "space", {}])
def test_what_is_no_space_is_refused(found):
    with pytest.raises(StudyError):
        space_from_dict(found)


def test_a_network_outside_the_space_names_its_fields():
    space = small_space()
    config = replace(space.start, width=24, depths=(2, 1, 1, 1))
    with pytest.raises(StudyError, match=r"depths \(2, 1, 1, 1\), width 24"):
        space.levels_of(config)
    with pytest.raises(StudyError, match="stem"):
        space.levels_of(ModelConfig(depths=(1, 1, 1, 1), width=16, stem="patchify", init="default"))


def test_a_choice_outside_the_space_has_its_steps_title():
    space = replace(small_space(), start=pocket_config(RESNET50.config("kernel_9")))
    config = space.network(space.origin).replace(kernel_size=5, response_norm=True)
    with pytest.raises(StudyError) as error:
        space.levels_of(config)
    assert str(error.value) == "no run was planned with Kernel size 5, Global response norm"


def test_a_full_size_network_in_a_pocket_space_is_told_so(space):
    config = RESNET50.config("gelu")
    with pytest.raises(StudyError, match=r"^it trained pocket networks; no run"):
        pocket_space(space).levels_of(config)
    with pytest.raises(StudyError, match=r"^no run was planned with width 60$"):
        space.levels_of(config.replace(width=60))


def test_steps_that_set_one_field_to_no_numbers_are_factors_each():
    """As of a step of one's own that brings a third activation."""
    again = Step(key="relu", title="ReLU", group="", why="", config_changes={"activation": "relu"})
    roadmap = replace(RESNET50, steps=(*RESNET50.steps, again))
    space = roadmap_space(roadmap, [])
    assert space.factor("gelu").keys == space.factor("relu").keys == ("off", "on")
    assert space.network(space.origin | {"gelu": "on"}).activation == "gelu"
    assert space.network(space.origin | {"gelu": "on", "relu": "on"}).activation == "relu"
    assert space_from_dict(json.loads(json.dumps(space.to_dict()))) == space
