import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import configs, wild_fields

from models import ConfigError, ModelConfig
from models.config import FIELDS, differences


@given(configs())
def test_survives_json(config):
    again = ModelConfig.from_json(config.to_json())
    assert again == config
    assert hash(again) == hash(config)


@settings(max_examples=500)
@given(wild_fields())
def test_is_valid_or_refused_with_a_sentence_that_names_the_field(fields):
    try:
        config = ModelConfig.from_dict(fields)
    except ConfigError as error:
        assert error.fields
        assert error.fields[0] in str(error)
        assert str(error).count("\n") == 0
        assert "use" in str(error) or "set" in str(error) or "did you mean" in str(error)
    else:
        assert ModelConfig.from_json(config.to_json()) == config


@given(st.text())
def test_text_that_is_no_config_is_refused(text):
    with pytest.raises(ConfigError):
        ModelConfig.from_json(text if not text.strip().startswith("{") else "[" + text)


@pytest.mark.parametrize(
    ("fields", "named", "advice"),
    [
        ({"norms_per_block": 1}, ("norms_per_block", "block"), "set block to 'inverted'"),
        ({"depthwise_position": "first"}, ("depthwise_position",), "set depthwise to true"),
        ({"kernel_size": 6}, ("kernel_size",), "use 5 or 7"),
        ({"depthwise": True, "groups": 32}, ("groups",), "set groups to 1"),
        ({"groups": 5}, ("groups",), "64 channels"),
        ({"block": "inverted", "group_width": 4}, ("group_width",), "set group_width to none"),
        ({"depths": (3, 0)}, ("depths",), "positive whole numbers"),
        ({"depths": (600, 600)}, ("depths",), "at most 1000"),
        ({"norm": "bach"}, ("norm",), "'batch' or 'layer'"),
        ({"widht": 64}, ("widht",), "did you mean 'width'"),
        ({"width": True}, ("width",), "a whole number"),
        ({"stochastic_depth": 1.0}, ("stochastic_depth",), "under 1"),
        ({"layer_scale": float("nan")}, ("layer_scale",), "finite"),
        ({"layer_scale": 10**400}, ("layer_scale",), "finite"),
        ({"activations_per_block": 3.0}, ("activations_per_block",), "use 1 or 3"),
    ],
)
def test_refusals_name_the_fields_and_what_works(fields, named, advice):
    with pytest.raises(ConfigError, match=named[0]) as caught:
        ModelConfig.from_dict(fields)
    assert set(named) <= set(caught.value.fields)
    assert advice in str(caught.value)


@pytest.mark.parametrize("digits", [900, 5000])  # Python reads 4,300
def test_a_number_of_many_digits_is_refused_in_a_line(digits):
    for text in (f'{{"depths": [{"9" * digits}]}}', f'{{"kernel_size": {"9" * digits}}}'):
        with pytest.raises(ConfigError) as refused:
            ModelConfig.from_json(text)
        assert len(str(refused.value)) < 150
        assert "set_int_max_str_digits" not in str(refused.value)


def test_json_nested_too_deeply_is_refused():
    with pytest.raises(ConfigError, match="nested too deeply"):
        ModelConfig.from_json("[" * 100_000)


def test_replace_checks_names():
    with pytest.raises(ConfigError, match="did you mean 'kernel_size'"):
        ModelConfig().replace(kernelsize=7)


def test_json_has_every_field():
    assert set(json.loads(ModelConfig().to_json())) == set(FIELDS)


def test_differences():
    wider = ModelConfig(width=96, stem="patchify")
    assert differences(ModelConfig(), wider) == {"width": (64, 96), "stem": ("resnet", "patchify")}
