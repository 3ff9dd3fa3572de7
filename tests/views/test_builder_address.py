"""The builder's URL: it says everything, and whatever it says there is a state to show."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import configs

from models import VARIANTS
from roadmap.views.common.builder_address import (
    STARTS,
    Builder,
    Chosen,
    StartingPoint,
    at_start,
    parameters,
    parse,
    parse_chosen,
)

BASELINE = StartingPoint("resnet50", "baseline")


def starts():
    names = [StartingPoint(source, name) for source, names in STARTS.items() for name in names]
    return st.sampled_from(names)


@given(starts(), configs(), starts(), configs(), st.booleans(), st.sampled_from([32, 224, 1000]))
def test_a_state_survives_the_url(first, a, second, b, compared, size):
    state = Builder(Chosen(first, a), Chosen(second, b) if compared else None, "a", size)
    assert parse(parameters(state), BASELINE) == state


def test_a_url_is_short_and_has_nothing_to_escape():
    config = VARIANTS["convnext_tiny"].replace(depths=(3, 3, 27, 3), layer_scale=1e-4)
    said = parameters(Builder(Chosen(StartingPoint("variant", "convnext_tiny"), config)))
    assert urlencode(said) == "a=variant.convnext_tiny~depths.3-3-27-3~layer_scale.0.0001"


def test_without_a_word_it_is_the_starting_point():
    assert parse({}, BASELINE) == Builder(at_start(BASELINE))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("resnet50.kernel_77", "Did you mean 'kernel_7'?"),
        ("resnet51.kernel_7", "Did you mean 'resnet50'?"),
        ("resnet50.kernel_7~widht.3", "Did you mean 'width'?"),
        ("resnet50.kernel_7~width", "width has no value"),
        ("resnet50.kernel_7~width.many", "width is 'many'; use a whole number"),
        ("resnet50.kernel_7~width.999999999999", "from 1 to 8,192"),
        ("resnet50.baseline~norms_per_block.1", "set block to 'inverted'"),
        ("resnet50.baseline~norm.x", "use 'batch' or 'layer'"),
        ("resnet50.baseline~depths.3--3", "depths is '3--3'"),
        ("resnet50.baseline~stochastic_depth.nan", "at least 0 and under 1"),
        ("resnet50.baseline~layer_scale." + "9" * 900, "a finite number"),
        ("x" * 5000, "at most 1,000"),
    ],
)
def test_what_makes_no_config_is_a_sentence(text, sentence):
    state = parse({"a": text, "b": text}, BASELINE)
    assert state.a == at_start(BASELINE)
    assert state.b is None
    assert len(state.problems) == 2
    assert sentence in state.problems[0]
    assert len(state.problems[0]) < 700


@pytest.mark.parametrize("size", ["0", "9" * 50, "-5", "²", "large", "1e3"])
def test_an_absurd_image_is_a_sentence(size):
    state = parse({"image": size}, BASELINE)
    assert state.image_size == 224
    assert "from 1 to 1,024" in state.problems[0]


@given(st.dictionaries(st.sampled_from(["a", "b", "edit", "image"]), st.text(max_size=60)))
def test_any_parameters_are_a_state(said):
    state = parse(said, BASELINE)
    assert parse(parameters(state), BASELINE).current == state.current


@given(st.text("abdehilnoprtw0123456789.-~_", max_size=80))
def test_any_change_is_a_config_or_a_sentence(text):
    try:
        parse_chosen(f"resnet50.baseline~{text}")
    except ValueError as error:
        assert "\n" not in str(error)
